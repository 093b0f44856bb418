//! The decoder against serde_json, on random documents (gcs-protocol §15).

use agent::json::{Cursor, Peek, check, peek};
use agent::kernel::StringList;
use serde_json::{Map, Value, json};

/// A small generator of numbers (xorshift64*), so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 14] = [
            "a",
            "Z",
            " ",
            "\"",
            "\\",
            "\n",
            "\t",
            "/",
            "<&>",
            "\u{e9}",
            "\u{20ac}",
            "\u{1f600}",
            "\u{1}",
            "=",
        ];
        (0..self.below(8))
            .map(|_| PIECES[self.below(PIECES.len())])
            .collect()
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 1),
            2 => json!(self.below(1 << 30) as i64 - (1 << 29)),
            3 => json!(self.below(1000) as f64 / 8.0),
            4 => json!(self.text()),
            5 => (0..self.below(5)).map(|_| self.value(depth - 1)).collect(),
            _ => Value::Object(
                (0..self.below(5))
                    .map(|_| (self.text(), self.value(depth - 1)))
                    .collect(),
            ),
        }
    }

    /// Writes a string with more escapes than needed.
    fn escape(&mut self, text: &str) -> String {
        let mut out = String::from("\"");
        for character in text.chars() {
            if character < ' ' || character == '"' || character == '\\' || self.below(3) == 0 {
                let mut units = [0; 2];
                for unit in character.encode_utf16(&mut units) {
                    out += &format!("\\u{unit:04X}");
                }
            } else {
                out.push(character);
            }
        }
        out + "\""
    }
}

#[test]
fn what_serde_json_accepts_is_accepted_and_what_it_refuses_is_refused() {
    let mut random = Random(1);
    for _ in 0..20_000 {
        let mut text = random.value(4).to_string().into_bytes();
        if random.below(2) == 0 && !text.is_empty() {
            let at = random.below(text.len());
            match random.below(3) {
                0 => text[at] = b"{}[]\",:\\0-.eEtfn \x01\xff"[random.below(19)],
                1 => text.truncate(at),
                _ => {
                    text.remove(at);
                }
            }
        }
        // Passing over a value, serde_json does not look at the UTF-8 of its strings.
        let theirs = str::from_utf8(&text)
            .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        let ours = check(&text).is_ok();
        assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn members_are_read_as_serde_json_reads_them() {
    let mut random = Random(2);
    for _ in 0..5_000 {
        let (name, path) = (random.text(), random.text());
        let number = random.below(1 << 31) as i64 - (1 << 30);
        let strings: Vec<String> = (0..random.below(6)).map(|_| random.text()).collect();
        let mut variables = Map::new();
        for _ in 0..random.below(6) {
            variables.insert(random.text().replace('=', ""), json!(random.text()));
        }
        let inner = json!({"Other": random.value(3), "Path": path, "Number": number});
        let escaped: Vec<String> = strings.iter().map(|text| random.escape(text)).collect();
        let pairs: Vec<String> = variables
            .iter()
            .map(|(key, value)| {
                format!(
                    "{} : {}",
                    random.escape(key),
                    random.escape(value.as_str().unwrap())
                )
            })
            .collect();
        let members = [
            format!("\"NAME\" : {}", random.escape(&name)),
            format!("\"unknown\":{}", random.value(4)),
            format!("\"list\":[{}]", escaped.join(" ,\n")),
            format!("\"map\":{{{}}}", pairs.join(",")),
            format!("\"inner\":{}", random.escape(&inner.to_string())),
            "\"nothing\":null".to_owned(),
        ];
        let mut order: Vec<usize> = (0..members.len()).collect();
        for at in (1..order.len()).rev() {
            order.swap(at, random.below(at + 1));
        }
        let document: Vec<&str> = order.iter().map(|&at| members[at].as_str()).collect();
        let text = format!(" {{{}}}\n", document.join(" , "));
        check(text.as_bytes()).unwrap();
        let mut buffer = [0; 512];
        assert_eq!(
            peek(text.as_bytes(), "name", &mut buffer),
            Peek::Text(name.as_bytes()),
            "{text}"
        );

        let mut bytes = text.clone().into_bytes();
        let mut cursor = Cursor::new(&mut bytes);
        let (mut got_name, mut got_path, mut got_number) = ("", "", 0_i32);
        let (mut list, mut map) = (StringList::default(), StringList::default());
        let mut nothing = 7_u8;
        assert!(cursor.begin_object().unwrap());
        while let Some(member) = cursor
            .next_member(&["Name", "List", "Map", "Inner", "Nothing"])
            .unwrap()
        {
            match member {
                "Name" => cursor.string(&mut got_name).unwrap(),
                "List" => cursor.string_list(&mut list).unwrap(),
                "Map" => cursor.string_map(&mut map).unwrap(),
                "Nothing" => cursor.integer(&mut nothing).unwrap(),
                _ => {
                    let mut inner = cursor.document().unwrap().unwrap();
                    assert!(inner.begin_object().unwrap());
                    while let Some(member) = inner.next_member(&["path", "number"]).unwrap() {
                        match member {
                            "path" => inner.string(&mut got_path).unwrap(),
                            _ => inner.integer(&mut got_number).unwrap(),
                        }
                    }
                }
            }
        }
        assert_eq!(
            (got_name, got_path),
            (name.as_str(), path.as_str()),
            "{text}"
        );
        assert_eq!((i64::from(got_number), nothing), (number, 7), "{text}");
        let got: Vec<&[u8]> = list.iter().collect();
        let wanted: Vec<&[u8]> = strings.iter().map(String::as_bytes).collect();
        assert_eq!(got, wanted, "{text}");
        let got: Vec<String> = map
            .iter()
            .map(|pair| String::from_utf8(pair.to_vec()).unwrap())
            .collect();
        let wanted: Vec<String> = variables
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap()))
            .collect();
        assert_eq!(got, wanted, "{text}");
    }
}

#[test]
fn gos_reading_rules_hold() {
    let read = |text: &str| {
        check(text.as_bytes()).unwrap();
        let mut bytes = text.as_bytes().to_vec();
        let mut cursor = Cursor::new(&mut bytes);
        let mut value = "default";
        if cursor.begin_object().unwrap() {
            while cursor.next_member(&["Name"]).unwrap().is_some() {
                cursor.string(&mut value).unwrap();
            }
        }
        value.to_owned()
    };
    for (text, value) in [
        ("null", "default"),
        ("{}", "default"),
        ("{\"Name\":null}", "default"),
        ("{\"nAmE\":\"a\"}", "a"),
        ("{\"Name\":\"a\",\"name\":\"b\"}", "b"),
        ("{\"\\u004eame\":\"a\"}", "a"),
        ("{\"Name\":\"\\ud800\"}", "\u{fffd}"),
        ("{\"Name\":\"\\udc00\\ud800x\"}", "\u{fffd}\u{fffd}x"),
        ("{\"Name\":\"\\ud800\\u0041\"}", "\u{fffd}A"),
        ("{\"Name\":\"\\ud83d\\ude00\"}", "\u{1f600}"),
        ("{\"Name\":\"\\/\\b\\f\\u0000\"}", "/\u{8}\u{c}\0"),
    ] {
        assert_eq!(read(text), value, "{text}");
    }
}

#[test]
fn the_last_of_several_variables_with_one_name_wins() {
    let text = "{\"A\":\"1\",\"AB\":\"2\",\"A\":\"3\",\"B\":\"\",\"AB\":null}";
    let mut bytes = text.as_bytes().to_vec();
    let mut map = StringList::default();
    Cursor::new(&mut bytes).string_map(&mut map).unwrap();
    let pairs: Vec<&[u8]> = map.iter().collect();
    assert_eq!(pairs, [&b"A=3"[..], b"B=", b"AB="]);
}

#[test]
fn an_unchecked_document_does_no_harm() {
    let mut random = Random(3);
    for _ in 0..20_000 {
        let length = random.below(24);
        let mut bytes: Vec<u8> = (0..length)
            .map(|_| b"{}[]\",:\\u0nd8-. a"[random.below(17)])
            .collect();
        let copy = bytes.clone();
        let _ = peek(&copy, "a", &mut [0; 8]);
        let mut cursor = Cursor::new(&mut bytes);
        let (mut list, mut map, mut number) = (StringList::default(), StringList::default(), 0_u8);
        if cursor.begin_object().is_ok() {
            for _ in 0..length {
                let _ = cursor.next_member(&["a", "d"]);
                let _ = match random.below(4) {
                    0 => cursor.string_list(&mut list),
                    1 => cursor.string_map(&mut map),
                    2 => cursor.integer(&mut number),
                    _ => cursor.text().map(|_| ()),
                };
                cursor.next_element();
            }
        }
    }
}
