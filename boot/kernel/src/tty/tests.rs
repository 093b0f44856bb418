//! The line discipline as tables: what is typed, what is seen, what is read, which signals are raised.
//!
//! What each row says of echo and reads was compared with a pseudo-terminal of Linux.

use super::desk::*;
use super::terminal::State;
use super::termios::{Character, TERMIOS2_BYTES, Termios};
use crate::limits::{ECHO_RESERVE, TERMINAL_OUTPUT_BYTES};
use hal::limits::PAGE_BYTES;
use std::string::String;
use std::vec;
use std::vec::Vec;

/// Settings, what is typed, what is seen, what each read gives, signals.
type Row = (
    fn(&mut Settings) -> &mut Settings,
    &'static [u8],
    &'static [u8],
    &'static [&'static [u8]],
    &'static [u8],
);

fn play(rows: &[Row]) {
    for (nth, &(change, typed, seen, reads, signals)) in rows.iter().enumerate() {
        let mut desk = Desk::with(|settings| change(settings));
        assert_eq!(desk.type_in(typed), typed.len(), "row {nth}: all is taken");
        let name = String::from_utf8_lossy(typed)
            .escape_debug()
            .collect::<String>();
        assert_eq!(
            desk.seen().escape_ascii().collect::<Vec<_>>(),
            seen.escape_ascii().collect::<Vec<_>>(),
            "row {nth}, {name}: seen"
        );
        assert_eq!(desk.reads(), reads, "row {nth}, {name}: read");
        assert_eq!(desk.raised(), signals, "row {nth}, {name}: signals");
    }
}

#[test]
fn lines_are_edited_as_linux_edits_them() {
    play(&[
        (same, b"ls\r", b"ls\r\n", &[b"ls\n"], &[]),
        (same, b"ls\n", b"ls\r\n", &[b"ls\n"], &[]),
        (
            same,
            b"one\ntwo\n",
            b"one\r\ntwo\r\n",
            &[b"one\n", b"two\n"],
            &[],
        ),
        (same, b"unfinished", b"unfinished", &[], &[]),
        // Erase.
        (same, b"ax\x7fb\n", b"ax\x08 \x08b\r\n", &[b"ab\n"], &[]),
        (same, b"\x7f\x7f\n", b"\r\n", &[b"\n"], &[]),
        (
            same,
            b"a\x01\x7f\n",
            b"a^A\x08 \x08\x08 \x08\r\n",
            &[b"a\n"],
            &[],
        ),
        (
            |s| s.local(ECHOE, 0),
            b"ax\x7f\n",
            b"ax^?\r\n",
            &[b"a\n"],
            &[],
        ),
        // Tabs: two columns of "ab" and six of the tab; a tab behind a tab is eight.
        (
            same,
            b"ab\t\x7fc\n",
            b"ab\t\x08\x08\x08\x08\x08\x08c\r\n",
            &[b"abc\n"],
            &[],
        ),
        (
            same,
            b"\t\tx\x7f\x7f\n",
            b"\t\tx\x08 \x08\x08\x08\x08\x08\x08\x08\x08\x08\r\n",
            &[b"\t\n"],
            &[],
        ),
        // Words.
        (
            same,
            b"one two_2  \x17!\n",
            b"one two_2  \x08 \x08\x08 \x08\x08 \x08\x08 \x08\x08 \x08\x08 \x08\x08 \x08!\r\n",
            &[b"one !\n"],
            &[],
        ),
        // Kill.
        (
            same,
            b"ab\x15c\n",
            b"ab\x08 \x08\x08 \x08c\r\n",
            &[b"c\n"],
            &[],
        ),
        (
            |s| s.local(ECHOKE, 0),
            b"ab\x15c\n",
            b"ab^U\r\nc\r\n",
            &[b"c\n"],
            &[],
        ),
        (
            |s| s.local(ECHOK | ECHOKE, 0),
            b"ab\x15c\n",
            b"ab^Uc\r\n",
            &[b"c\n"],
            &[],
        ),
        // Reprint.
        (same, b"ab\x12c\n", b"ab^R\r\nabc\r\n", &[b"abc\n"], &[]),
        // The next character as it is.
        (same, b"\x16\x03\n", b"^\x08^C\r\n", &[b"\x03\n"], &[]),
        (same, b"\x16\x7f\n", b"^\x08^?\r\n", &[b"\x7f\n"], &[]),
        (same, b"\x16\n\n", b"^\x08^J\r\n", &[b"\n\n"], &[]),
        (same, b"a\x16\x04b\x04", b"a^\x08^Db", &[b"a\x04b"], &[]),
        // Without IEXTEN, ^W ^V ^R are characters.
        (
            |s| s.local(IEXTEN, 0),
            b"a\x17\x16\x12\n",
            b"a^W^V^R\r\n",
            &[b"a\x17\x16\x12\n"],
            &[],
        ),
    ]);
}

#[test]
fn the_end_of_a_file_ends_a_line_without_being_in_it() {
    play(&[
        (same, b"\x04", b"", &[b""], &[]),
        (same, b"ab\x04", b"ab", &[b"ab"], &[]),
        (same, b"ab\x04\x04", b"ab", &[b"ab", b""], &[]),
        (same, b"ab\n\x04", b"ab\r\n", &[b"ab\n", b""], &[]),
        (
            |s| s.character(Character::EndOfLine, b';'),
            b"a;b\n",
            b"a;b\r\n",
            &[b"a;", b"b\n"],
            &[],
        ),
        (
            |s| s.character(Character::EndOfLine2, b'|'),
            b"a|b\n",
            b"a|b\r\n",
            &[b"a|", b"b\n"],
            &[],
        ),
        (
            |s| s.character(Character::EndOfLine2, b'|').local(IEXTEN, 0),
            b"a|b\n",
            b"a|b\r\n",
            &[b"a|b\n"],
            &[],
        ),
    ]);
}

#[test]
fn characters_of_utf_8_are_erased_whole() {
    play(&[
        (
            |s| s.input(0, IUTF8),
            "ä€\x7fx\n".as_bytes(),
            "ä€\x08 \x08x\r\n".as_bytes(),
            &[b"\xc3\xa4x\n"],
            &[],
        ),
        (
            same,
            "ä\x7f\n".as_bytes(),
            b"\xc3\xa4\x08 \x08\r\n",
            &[b"\xc3\n"],
            &[],
        ),
        // Pieces without a beginning are left alone.
        (
            |s| s.input(0, IUTF8),
            b"\x80\x80\x7f\n",
            b"\x80\x80\r\n",
            &[b"\x80\x80\n"],
            &[],
        ),
    ]);
}

#[test]
fn signals_are_raised_and_flush() {
    play(&[
        (same, b"abc\x03", b"^C", &[], &[2]),
        (same, b"abc\x1c", b"^\\", &[], &[3]),
        (same, b"abc\x1ad\n", b"^Zd\r\n", &[b"d\n"], &[20]),
        (
            |s| s.local(0, NOFLSH),
            b"abc\x03\n",
            b"abc^C\r\n",
            &[b"abc\n"],
            &[2],
        ),
        (
            |s| s.local(ISIG, 0),
            b"\x03\n",
            b"^C\r\n",
            &[b"\x03\n"],
            &[],
        ),
        (
            |s| s.character(Character::Interrupt, 0),
            b"\x03\0\n",
            b"^C^@\r\n",
            &[b"\x03\0\n"],
            &[],
        ),
        // In raw mode they are bytes.
        (|s| s.raw(), b"\x03\x1a", b"", &[b"\x03\x1a"], &[]),
        // In cbreak mode they are signals.
        (|s| s.local(ICANON | ECHO, 0), b"ab\x03", b"", &[], &[2]),
    ]);
}

#[test]
fn echo_is_as_the_settings_say() {
    play(&[
        (|s| s.local(ECHO, 0), b"secret\n", b"", &[b"secret\n"], &[]),
        (
            |s| s.local(ECHO, ECHONL),
            b"secret\n",
            b"\r\n",
            &[b"secret\n"],
            &[],
        ),
        (|s| s.local(ECHO, 0), b"ab\x7f\x15c\n", b"", &[b"c\n"], &[]),
        (
            |s| s.local(ECHOCTL, 0),
            b"\x01\n",
            b"\x01\r\n",
            &[b"\x01\n"],
            &[],
        ),
        (
            |s| s.local(ECHOCTL, 0),
            b"\x01\x7f\n",
            b"\x01\r\n",
            &[b"\n"],
            &[],
        ),
        (|s| s.output(1, 0), b"ab\n", b"ab\n", &[b"ab\n"], &[]),
        (|s| s.local(ICANON, 0), b"a\tb", b"a\tb", &[b"a\tb"], &[]),
    ]);
}

#[test]
fn line_ends_are_translated_as_the_settings_say() {
    play(&[
        (
            |s| s.input(ICRNL, 0),
            b"a\rb\n",
            b"a^Mb\r\n",
            &[b"a\rb\n"],
            &[],
        ),
        (|s| s.input(0, IGNCR), b"a\rb\n", b"ab\r\n", &[b"ab\n"], &[]),
        (
            |s| s.input(ICRNL, INLCR),
            b"a\nb\x04",
            b"a^Mb",
            &[b"a\rb"],
            &[],
        ),
        (|s| s.input(0, ISTRIP), b"\xe1\n", b"a\r\n", &[b"a\n"], &[]),
        // Not in lines: a translated newline is one, a plain one is a control character.
        (
            |s| s.local(ICANON, 0),
            b"a\r\n",
            b"a\r\n^J",
            &[b"a\n\n"],
            &[],
        ),
    ]);
}

#[test]
fn output_is_translated_as_the_settings_say() {
    type Row = (
        fn(&mut Settings) -> &mut Settings,
        &'static [u8],
        &'static [u8],
    );
    let rows: [Row; 9] = [
        (same, b"a\nb", b"a\r\nb"),
        (|s| s.output(1, 0), b"a\nb", b"a\nb"),
        (|s| s.output(4, 0), b"a\nb", b"a\nb"),
        (|s| s.output(0, 0o10), b"a\rb", b"a\nb"),
        (|s| s.output(0, 0o20), b"\ra\r\rb", b"a\rb"),
        (|s| s.output(0, 0o14000), b"a\tb", b"a       b"),
        (|s| s.output(0, 0o14000), b"\xc3\xa4\tb", b"\xc3\xa4      b"),
        (
            |s| s.output(0, 0o14000).input(0, IUTF8),
            b"\xc3\xa4\tb",
            b"\xc3\xa4       b",
        ),
        // ONLRET: a newline moves to column 0, so that no carriage return is needed there.
        (|s| s.output(4, 0o60), b"a\n\rb", b"a\nb"),
    ];
    for (change, written, seen) in rows {
        let mut desk = Desk::with(|settings| change(settings));
        assert_eq!(desk.write(written), written.len());
        assert_eq!(desk.seen(), seen, "{}", written.escape_ascii());
    }
}

#[test]
fn a_tab_is_wiped_out_back_to_the_prompt() {
    let mut desk = Desk::new();
    desk.write(b"sh$ ");
    desk.type_in(b"\t\x7f");
    // From column 4 a tab reaches column 8.
    assert_eq!(desk.seen(), b"sh$ \t\x08\x08\x08\x08");
}

#[test]
fn held_output_waits_and_goes_on() {
    let mut desk = Desk::new();
    desk.write(b"one");
    desk.type_in(b"\x13");
    assert_eq!(desk.write(b"two"), 0, "a writer waits");
    assert_eq!(desk.seen(), b"one", "what was sent before can be taken");
    desk.type_in(b"x");
    assert_eq!(desk.seen(), b"", "echo is held, too");
    desk.type_in(b"\x11");
    assert_eq!(desk.seen(), b"x");
    assert_eq!(desk.write(b"two"), 3);
    assert_eq!(
        desk.reads(),
        Vec::<Vec<u8>>::new(),
        "^S and ^Q are not input"
    );
}

#[test]
fn any_character_lets_output_go_on_with_ixany() {
    let mut desk = Desk::with(|s| s.input(0, IXANY));
    desk.type_in(b"\x13a");
    assert_eq!(desk.write(b"b"), 1);
    assert_eq!(desk.seen(), b"ab");
}

#[test]
fn a_signal_lets_held_output_go_on() {
    let mut desk = Desk::new();
    desk.type_in(b"\x13\x03");
    assert_eq!(desk.seen(), b"^C");
    assert_eq!(desk.write(b"b"), 1);
}

#[test]
fn clearing_ixon_lets_held_output_go_on() {
    let mut desk = Desk::new();
    desk.type_in(b"\x13");
    desk.set(|s| s.input(IXON, 0));
    assert_eq!(desk.write(b"b"), 1);
    desk.type_in(b"\x13\x04");
    assert_eq!(desk.reads(), [b"\x13"]);
}

#[test]
fn what_is_held_by_a_call_no_character_lets_go_on() {
    let mut desk = Desk::with(|s| s.input(0, IXANY));
    desk.terminal.hold();
    desk.terminal.state.insert(State::HELD_BY_CALL);
    desk.type_in(b"\x11a");
    assert_eq!(desk.write(b"b"), 0);
}

#[test]
fn held_output_never_keeps_the_character_that_lets_it_go_on_away() {
    let mut desk = Desk::new();
    desk.type_in(b"\x13");
    let typed = vec![b'x'; PAGE_BYTES + 100];
    assert_eq!(desk.type_in(&typed), typed.len());
    assert_eq!(desk.type_in(b"\x11"), 1);
    assert!(desk.terminal.held_at.is_none());
}

#[test]
fn a_line_has_room_for_4095_characters_and_its_end() {
    for (length, kept) in [(4094, 4094), (4095, 4095), (4096, 4095), (9000, 4095)] {
        let mut desk = Desk::new();
        let typed = vec![b'x'; length];
        for chunk in typed.chunks(64) {
            assert_eq!(desk.type_in(chunk), chunk.len());
            assert_eq!(desk.seen(), chunk, "what is lost is echoed all the same");
        }
        assert_eq!(desk.type_in(b"\n"), 1);
        let read = desk.read().expect("a line");
        assert_eq!(read.len(), kept + 1, "of {length}");
        assert_eq!(read.last(), Some(&b'\n'));
    }
}

#[test]
fn complete_lines_that_nobody_reads_make_the_typist_wait() {
    let mut desk = Desk::with(|s| s.local(ECHO, 0));
    let line = [b'y'; 64];
    let mut taken = 0;
    for _ in 0..100 {
        taken += desk.type_in(&line[..63]);
        taken += desk.type_in(b"\n");
    }
    assert_eq!(taken, PAGE_BYTES - 1);
    assert!(desk.read().is_some());
    assert_eq!(desk.type_in(b"z"), 1, "there is room again");
}

#[test]
fn raw_input_has_room_for_4095_bytes() {
    let mut desk = Desk::with(|s| s.raw());
    assert_eq!(desk.type_in(&[0xaa; 5000]), PAGE_BYTES - 1);
    assert_eq!(desk.read().map(|read| read.len()), Some(PAGE_BYTES - 1));
    assert_eq!(desk.type_in(&[0xaa; 5000]), PAGE_BYTES - 1);
}

#[test]
fn a_screen_that_nobody_looks_at_makes_writers_wait_and_leaves_room_for_echo() {
    let mut desk = Desk::new();
    let written = desk.write(&[b'o'; 5000]);
    assert_eq!(written, TERMINAL_OUTPUT_BYTES - ECHO_RESERVE);
    assert!(!desk.terminal.is_writable());
    // Nothing of it is lost: the typist waits when the room for echo is used up.
    let typed = desk.type_in(&[b'e'; 500]);
    assert_eq!(typed, ECHO_RESERVE - 7);
    // An interrupt always comes through.
    assert_eq!(desk.type_in(b"\x03"), 1);
    assert_eq!(desk.raised(), [2]);
    assert_eq!(desk.seen(), b"^C");
}

#[test]
fn bytes_that_are_there_become_a_line_when_lines_are_switched_on() {
    let mut desk = Desk::with(|s| s.local(ICANON | ECHO, 0));
    desk.type_in(b"abc");
    desk.set(|s| s.local(0, ICANON));
    assert_eq!(desk.reads(), [b"abc"]);
    desk.type_in(b"half");
    assert_eq!(desk.read(), None);
    desk.set(|s| s.local(ICANON, 0));
    assert_eq!(desk.reads(), [b"half"]);
}

#[test]
fn lines_end_where_they_ended_also_around_the_ring_s_end() {
    let mut desk = Desk::with(|s| s.local(ECHO, 0));
    for length in (1..200).cycle().take(2000) {
        let line = vec![b'l'; length];
        assert_eq!(desk.type_in(&line), length);
        desk.type_in(b"\x16\x04\n");
        desk.type_in(b"\x04");
        assert_eq!(desk.read(), Some([&line[..], b"\x04\n"].concat()));
        assert_eq!(desk.read(), Some(vec![]));
    }
}

#[test]
fn settings_are_shown_as_they_were_set_but_for_what_a_terminal_without_a_line_has() {
    let mut termios = Termios::default();
    assert_eq!(
        &termios.bytes()[..16],
        &[0, 5, 0, 0, 5, 0, 0, 0, 0xbf, 0, 0, 0, 0x3b, 0x8a, 0, 0]
    );
    let mut bytes = [0xff; TERMIOS2_BYTES];
    termios.set(&bytes);
    // PARENB.
    bytes[9] &= !1;
    assert_eq!(termios.bytes(), &bytes);
    termios.set(&[0; 36]);
    assert_eq!(termios.bytes()[8], 0o260, "CS8 and CREAD");
    assert_eq!(&termios.bytes()[36..], &[0xff; 8], "speeds are termios2's");
}
