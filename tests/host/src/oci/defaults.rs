//! What an image's configuration says about its program (OCI image specification, `config.md`).

/// The program of an image and what is around it. Empty where the image says nothing.
///
/// # Example
///
/// ```
/// use mote_host::oci::ImageDefaults;
/// let image = ImageDefaults { command: vec!["sh".into()], ..ImageDefaults::default() };
/// assert_eq!(image.arguments(&[]), ["sh"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageDefaults {
    /// The first words of the command line; what the user gives follows them.
    pub entrypoint: Vec<String>,
    /// The words that follow unless the user gives some.
    pub command: Vec<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// The working directory.
    pub cwd: String,
    /// User, or user and group with a colon between; names or numbers.
    pub user: String,
}

impl ImageDefaults {
    /// Returns the command line for these words of the user.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::oci::ImageDefaults;
    /// let image = ImageDefaults { entrypoint: vec!["/app".into()], ..ImageDefaults::default() };
    /// assert_eq!(image.arguments(&["--flag".into()]), ["/app", "--flag"]);
    /// ```
    #[must_use]
    pub fn arguments(&self, given: &[String]) -> Vec<String> {
        let rest = if given.is_empty() {
            &self.command
        } else {
            given
        };
        self.entrypoint.iter().chain(rest).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_the_user_gives_takes_the_commands_place_behind_the_entrypoint() {
        let image = ImageDefaults {
            entrypoint: words("/bin/sh -c"),
            command: words("true"),
            ..ImageDefaults::default()
        };
        assert_eq!(image.arguments(&[]), words("/bin/sh -c true"));
        assert_eq!(
            image.arguments(&words("false x")),
            words("/bin/sh -c false x")
        );
        assert_eq!(
            ImageDefaults::default().arguments(&words("a b")),
            words("a b")
        );
    }
}
