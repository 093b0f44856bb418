//! The host side of mote.
