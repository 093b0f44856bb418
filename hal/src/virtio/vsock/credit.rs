//! Flow control of one connection (virtio 1.2 §5.10.6.3): free-running counters modulo 2³².
//!
//! Each side says in every header how much it is willing to hold (`buf_alloc`) and how much it has forwarded to its
//! reader so far (`fwd_cnt`). The other side may have sent at most `fwd_cnt + buf_alloc` bytes. The counters wrap, so
//! they are only ever subtracted from each other, and a peer's counter is believed only if it moves forwards and not
//! beyond what was sent.

use core::num::Wrapping;

/// What we may send.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SendCredit {
    /// Bytes sent.
    tx_cnt: Wrapping<u32>,
    /// The peer's counters, as last believed.
    peer_fwd_cnt: Wrapping<u32>,
    peer_buf_alloc: u32,
}

/// What the peer may send.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReceiveCredit {
    /// Our window; it only grows, because what was promised cannot be taken back.
    window: u32,
    /// Bytes received, and of these forwarded to the reader.
    rx_cnt: Wrapping<u32>,
    fwd_cnt: Wrapping<u32>,
    /// What the last header told the peer.
    told_fwd_cnt: Wrapping<u32>,
    told_window: u32,
}

/// The peer claims to have forwarded what was never sent, or takes back what it forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CreditLie;

/// The peer sent more than its credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Overrun;

impl SendCredit {
    /// No credit: the peer has not said anything yet.
    pub(crate) const NONE: Self = Self {
        tx_cnt: Wrapping(0),
        peer_fwd_cnt: Wrapping(0),
        peer_buf_alloc: 0,
    };

    /// Returns how many bytes may be sent now.
    pub(crate) const fn available(&self) -> usize {
        self.peer_buf_alloc.saturating_sub(self.in_flight()) as usize
    }

    /// Returns how many bytes were sent and not forwarded yet.
    pub(crate) const fn in_flight(&self) -> u32 {
        self.tx_cnt.0.wrapping_sub(self.peer_fwd_cnt.0)
    }

    /// Takes `bytes` of the credit, which must be available.
    pub(crate) fn on_sent(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.available());
        self.tx_cnt += Wrapping(bytes as u32);
    }

    /// Learns from the peer's header. A smaller `buf_alloc` than before is allowed; it only ever makes us wait.
    pub(crate) fn on_header(&mut self, buf_alloc: u32, fwd_cnt: u32) -> Result<(), CreditLie> {
        let progress = Wrapping(fwd_cnt) - self.peer_fwd_cnt;
        if progress.0 > self.in_flight() {
            return Err(CreditLie);
        }
        self.peer_fwd_cnt = Wrapping(fwd_cnt);
        self.peer_buf_alloc = buf_alloc;
        Ok(())
    }
}

impl ReceiveCredit {
    /// Starts with a window of `window` bytes.
    pub(crate) const fn new(window: u32) -> Self {
        Self {
            window,
            rx_cnt: Wrapping(0),
            fwd_cnt: Wrapping(0),
            told_fwd_cnt: Wrapping(0),
            told_window: window,
        }
    }

    /// Returns the window.
    pub(crate) const fn window(&self) -> u32 {
        self.window
    }

    /// Returns the counter for the header.
    pub(crate) const fn fwd_cnt(&self) -> u32 {
        self.fwd_cnt.0
    }

    /// Returns how many bytes were received and not forwarded.
    pub(crate) fn held(&self) -> u32 {
        (self.rx_cnt - self.fwd_cnt).0
    }

    /// Opens the window wider.
    pub(crate) fn grow(&mut self, window: u32) {
        debug_assert!(window >= self.window);
        self.window = window;
    }

    /// Counts data from the peer, unless it exceeds what the peer was allowed.
    pub(crate) fn on_received(&mut self, bytes: u32) -> Result<(), Overrun> {
        if bytes > self.window - self.held() {
            return Err(Overrun);
        }
        self.rx_cnt += Wrapping(bytes);
        Ok(())
    }

    /// Counts data given to the reader (or thrown away for it).
    pub(crate) fn on_forwarded(&mut self, bytes: u32) {
        debug_assert!(bytes <= self.held());
        self.fwd_cnt += Wrapping(bytes);
    }

    /// Notes that a header with the present counters goes out.
    pub(crate) const fn on_told(&mut self) {
        self.told_fwd_cnt = self.fwd_cnt;
        self.told_window = self.window;
    }

    /// Returns whether the peer can learn something from a header.
    pub(crate) fn has_news(&self) -> bool {
        self.told_fwd_cnt != self.fwd_cnt || self.told_window != self.window
    }

    /// Returns whether the peer should be told by now: half the window was forwarded since, or the window grew.
    pub(crate) fn owes_update(&self) -> bool {
        let unsaid = (self.fwd_cnt - self.told_fwd_cnt).0;
        unsaid >= self.window / 2 || self.told_window != self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(buf_alloc: u32, start: u32) -> SendCredit {
        SendCredit {
            tx_cnt: Wrapping(start),
            peer_fwd_cnt: Wrapping(start),
            peer_buf_alloc: buf_alloc,
        }
    }

    fn receiver(window: u32, start: u32) -> ReceiveCredit {
        ReceiveCredit {
            rx_cnt: Wrapping(start),
            fwd_cnt: Wrapping(start),
            told_fwd_cnt: Wrapping(start),
            ..ReceiveCredit::new(window)
        }
    }

    #[test]
    fn a_sender_may_fill_the_window_and_no_more() {
        let mut credit = sender(100, 0);
        credit.on_sent(99);
        assert_eq!(credit.available(), 1);
        credit.on_sent(1);
        assert_eq!(credit.available(), 0);
        assert_eq!(credit.in_flight(), 100);
    }

    #[test]
    fn a_sender_counts_across_the_wrap() {
        let mut credit = sender(100, u32::MAX - 9);
        credit.on_sent(60);
        assert_eq!(credit.in_flight(), 60);
        assert_eq!(credit.on_header(100, 20), Ok(()));
        assert_eq!(credit.in_flight(), 30);
        assert_eq!(credit.available(), 70);
    }

    #[test]
    fn believes_a_counter_up_to_what_was_sent_and_no_further() {
        for (claim, believed) in [(0, true), (9, true), (10, true), (11, false)] {
            let mut credit = sender(100, 0);
            credit.on_sent(10);
            assert_eq!(credit.on_header(100, claim).is_ok(), believed, "{claim}");
        }
    }

    #[test]
    fn does_not_believe_a_counter_that_goes_back() {
        let mut credit = sender(100, 0);
        credit.on_sent(10);
        assert_eq!(credit.on_header(100, 5), Ok(()));
        assert_eq!(credit.on_header(100, 4), Err(CreditLie));
    }

    #[test]
    fn waits_when_the_window_shrinks_below_what_is_in_flight() {
        let mut credit = sender(100, 0);
        credit.on_sent(80);
        assert_eq!(credit.on_header(50, 0), Ok(()));
        assert_eq!(credit.available(), 0);
        assert_eq!(credit.on_header(50, 40), Ok(()));
        assert_eq!(credit.available(), 10);
        assert_eq!(credit.on_header(0, 80), Ok(()));
        assert_eq!(credit.available(), 0);
    }

    #[test]
    fn a_receiver_takes_a_full_window_and_not_a_byte_more() {
        for start in [0, u32::MAX - 9] {
            let mut credit = receiver(100, start);
            assert_eq!(credit.on_received(99), Ok(()));
            assert_eq!(credit.on_received(2), Err(Overrun));
            assert_eq!(credit.on_received(1), Ok(()));
            assert_eq!(credit.on_received(1), Err(Overrun));
            credit.on_forwarded(1);
            assert_eq!(credit.on_received(1), Ok(()));
            assert_eq!(credit.held(), 100);
        }
    }

    #[test]
    fn owes_an_update_from_half_a_window_on() {
        for (forwarded, owes) in [(49, false), (50, true), (51, true)] {
            let mut credit = receiver(100, u32::MAX - 20);
            credit.on_received(60).expect("below the window");
            credit.on_forwarded(forwarded);
            assert_eq!(credit.owes_update(), owes, "{forwarded}");
            credit.on_told();
            assert!(!credit.owes_update());
            assert!(!credit.has_news());
        }
    }

    #[test]
    fn owes_an_update_when_the_window_grew() {
        let mut credit = receiver(100, 7);
        credit.grow(200);
        assert!(credit.owes_update());
        credit.on_told();
        assert!(!credit.owes_update());
        assert_eq!(credit.on_received(200), Ok(()));
    }
}
