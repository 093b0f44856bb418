//! What many measurements of one thing say together.

/// Measurements of one thing. Never empty.
#[derive(Clone, Debug)]
pub struct Samples {
    sorted: Vec<f64>,
}

impl Samples {
    /// Takes measurements in any order; `None` when there are none.
    pub fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Self { sorted: values })
    }

    /// The value that half of the measurements do not exceed.
    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The value that 99 in 100 of the measurements do not exceed.
    pub fn p99(&self) -> f64 {
        self.percentile(99)
    }

    /// How many measurements there are.
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Nearest rank: always a value that was measured.
    fn percentile(&self, percent: usize) -> f64 {
        let rank = (self.sorted.len() * percent).div_ceil(100);
        self.sorted[rank.saturating_sub(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: impl IntoIterator<Item = u32>) -> Samples {
        Samples::new(values.into_iter().map(f64::from).collect()).unwrap()
    }

    #[test]
    fn percentiles_are_measured_values_by_nearest_rank() {
        let hundred = samples((1..=100).rev());
        assert_eq!(
            (hundred.median(), hundred.p99(), hundred.count()),
            (50.0, 99.0, 100)
        );
        let three = samples([30, 10, 20]);
        assert_eq!((three.median(), three.p99()), (20.0, 30.0));
    }

    #[test]
    fn one_measurement_is_its_own_median_and_p99() {
        let one = samples([7]);
        assert_eq!((one.median(), one.p99()), (7.0, 7.0));
    }

    #[test]
    fn no_measurement_is_no_sample() {
        assert!(Samples::new(Vec::new()).is_none());
    }
}
