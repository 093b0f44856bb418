//! Collects the examples of `mote-host`'s documentation, so that they are run and not only compiled, and notes which public
//! items have none.
//!
//! An example that needs a VM is a `no_run` block whose hidden first line is `fn example(guest: &mote_host::GuestConnection)`,
//! `fn example(vm: &mote_host::Vm)` or `fn example(config: mote_host::VmConfig)`; `tests/cli/example.rs` calls it with what it asks
//! for. Any other block is run by rustdoc itself. `include_str!` of a file in `tests/host/doc` counts as an example, and the
//! tests include the same file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};
use syn::{Attribute, Expr, ImplItem, Item, Lit, Meta, Type, UseTree, Visibility};

/// A public item.
struct Public {
    /// Its name as one writes it: `Vm::start`, `layer::read`.
    name: String,
    is_function: bool,
    examples: Vec<String>,
}

/// What was found in all files.
#[derive(Default)]
struct Found {
    items: Vec<Public>,
    /// Names that are re-exported somewhere: what a private module makes public.
    exported: BTreeSet<String>,
}

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let source = manifest.join("../host/src");
    println!("cargo::rerun-if-changed={}", source.display());
    let mut found = Found::default();
    read_module(&source.join("lib.rs"), "", true, &mut found);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("examples.rs");
    fs::write(&out, generated(&found)).unwrap_or_else(|error| panic!("{}: {error}", out.display()));
}

/// Reads a file and the modules it declares. `path` names the module; `is_open` when everything public in it can be named.
fn read_module(file: &Path, path: &str, is_open: bool, found: &mut Found) {
    let text =
        fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let syntax =
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    for item in &syntax.items {
        if let Item::Mod(module) = item
            && module.content.is_none()
        {
            let name = module.ident.to_string();
            let is_public = matches!(module.vis, Visibility::Public(_));
            let below = if is_public && !path.is_empty() {
                format!("{path}::{name}")
            } else if is_public {
                name.clone()
            } else {
                path.to_owned()
            };
            read_module(&file_of(file, &name), &below, is_open && is_public, found);
        }
    }
    let of_module = examples(&syntax.attrs);
    if !of_module.is_empty() {
        found.items.push(Public {
            name: if path.is_empty() { "crate" } else { path }.to_owned(),
            is_function: true,
            examples: of_module,
        });
    }
    for item in &syntax.items {
        read_item(item, path, is_open, found);
    }
}

/// Returns where a module that `file` declares lies.
fn file_of(file: &Path, name: &str) -> PathBuf {
    let directory = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "mod") | None => file.with_file_name(""),
        Some(stem) => file.with_file_name(stem),
    };
    let flat = directory.join(format!("{name}.rs"));
    if flat.exists() {
        flat
    } else {
        directory.join(name).join("mod.rs")
    }
}

fn read_item(item: &Item, path: &str, is_open: bool, found: &mut Found) {
    let prefix = if path.is_empty() {
        String::new()
    } else {
        format!("{path}::")
    };
    let mut add = |name: String, visibility: &Visibility, attributes: &[Attribute], is_function| {
        if matches!(visibility, Visibility::Public(_)) {
            // Whether it can be named is known when all files are read; until then a mark says what it hangs on.
            let mark = if is_open { "" } else { "?" };
            found.items.push(Public {
                name: format!("{mark}{name}"),
                is_function,
                examples: examples(attributes),
            });
        }
    };
    match item {
        Item::Fn(function) => {
            let name = format!("{prefix}{}", function.sig.ident);
            add(name, &function.vis, &function.attrs, true);
        }
        Item::Struct(item) => add(item.ident.to_string(), &item.vis, &item.attrs, false),
        Item::Enum(item) => add(item.ident.to_string(), &item.vis, &item.attrs, false),
        Item::Impl(block) if block.trait_.is_none() => {
            let Type::Path(this) = &*block.self_ty else {
                return;
            };
            let this = this
                .path
                .segments
                .last()
                .expect("a type has a name")
                .ident
                .to_string();
            for item in &block.items {
                if let ImplItem::Fn(function) = item
                    && matches!(function.vis, Visibility::Public(_))
                {
                    found.items.push(Public {
                        name: format!("?{this}::{}", function.sig.ident),
                        is_function: true,
                        examples: examples(&function.attrs),
                    });
                }
            }
        }
        Item::Use(item) if matches!(item.vis, Visibility::Public(_)) => {
            collect_names(&item.tree, &mut found.exported);
        }
        _ => {}
    }
}

fn collect_names(tree: &UseTree, names: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => collect_names(&path.tree, names),
        UseTree::Name(name) => drop(names.insert(name.ident.to_string())),
        UseTree::Rename(rename) => drop(names.insert(rename.rename.to_string())),
        UseTree::Group(group) => group
            .items
            .iter()
            .for_each(|tree| collect_names(tree, names)),
        UseTree::Glob(_) => panic!("a glob hides what is public"),
    }
}

/// Returns the code blocks of a documentation.
fn examples(attributes: &[Attribute]) -> Vec<String> {
    let mut examples = Vec::new();
    let mut block: Option<String> = None;
    for attribute in attributes {
        let Meta::NameValue(meta) = &attribute.meta else {
            continue;
        };
        if !meta.path.is_ident("doc") {
            continue;
        }
        let Expr::Lit(value) = &meta.value else {
            // An included file, between two fences.
            if let Some(block) = &mut block {
                block.push_str(INCLUDED);
            }
            continue;
        };
        let Lit::Str(text) = &value.lit else { continue };
        for line in text.value().lines() {
            let line = line.strip_prefix(' ').unwrap_or(line);
            match (line.strip_prefix("```"), &mut block) {
                (Some(kind), None) => block = Some(format!("{kind}\n")),
                (Some(_), Some(_)) => examples.extend(block.take()),
                (None, Some(block)) => {
                    // Lines that begin so are hidden in the documentation.
                    let line = line.trim_start();
                    let shown = line.strip_prefix("# ").or((line == "#").then_some(""));
                    writeln!(block, "{}", shown.unwrap_or(line)).expect("memory");
                }
                (None, None) => {}
            }
        }
    }
    examples.retain(|example| {
        ["\n", "rust\n", "no_run\n"]
            .iter()
            .any(|kind| example.starts_with(kind))
    });
    examples
}

/// Stands for the content of an included file.
const INCLUDED: &str = "// included\n";

/// Returns the tests, and the names of what has no example.
fn generated(found: &Found) -> String {
    let types: BTreeSet<&str> = found
        .items
        .iter()
        .filter(|item| !item.is_function && found.can_be_named(&item.name))
        .map(|item| item.name.trim_start_matches('?'))
        .collect();
    let mut text = String::new();
    let mut has_example = BTreeMap::<&str, bool>::new();
    for item in &found.items {
        let name = item.name.trim_start_matches('?');
        let (owner, method) = name.split_once("::").unwrap_or((name, ""));
        let is_method = item.is_function && types.contains(owner);
        if !is_method && !found.can_be_named(&item.name) {
            continue;
        }
        *has_example.entry(name).or_default() |= !item.examples.is_empty();
        if is_method && !method.is_empty() && !item.examples.is_empty() {
            // A type that is used in a method's example is shown there.
            *has_example.entry(owner).or_default() = true;
        }
        for (number, example) in item.examples.iter().enumerate() {
            write_test(
                &mut text,
                &format!("{}_{number}", snake(name)),
                name,
                example,
            );
        }
    }
    let list = |wanted: bool| {
        let names: Vec<&str> = has_example
            .iter()
            .filter_map(|(name, has)| (*has == wanted).then_some(*name))
            .collect();
        format!("{names:?}")
    };
    let (with, without) = (list(true), list(false));
    writeln!(text, "pub(crate) const WITH_EXAMPLE: &[&str] = &{with};").expect("memory");
    writeln!(
        text,
        "pub(crate) const WITHOUT_EXAMPLE: &[&str] = &{without};"
    )
    .expect("memory");
    text
}

impl Found {
    fn can_be_named(&self, name: &str) -> bool {
        name.strip_prefix('?').is_none_or(|name| {
            let last = name.rsplit("::").next().unwrap_or(name);
            self.exported.contains(last)
        })
    }
}

fn write_test(text: &mut String, module: &str, name: &str, example: &str) {
    let Some(code) = example
        .strip_prefix("no_run\n")
        .filter(|code| *code != INCLUDED)
    else {
        return;
    };
    let bed = [
        (
            "fn example(guest: &mote_host::GuestConnection)",
            "with_guest",
        ),
        ("fn example(vm: &mote_host::Vm)", "with_vm"),
        ("fn example(config: mote_host::VmConfig)", "with_config"),
    ]
    .iter()
    .find_map(|(head, bed)| code.starts_with(head).then_some(*bed))
    .unwrap_or_else(|| panic!("the example of {name} is compiled and never run: {code}"));
    writeln!(
        text,
        "#[allow(warnings, clippy::all, clippy::pedantic, reason = \"rustdoc does not warn about examples either\")]\n\
         mod {module} {{\n{code}\n#[test]\nfn runs() {{ super::{bed}({name:?}, example); }}\n}}"
    )
    .expect("memory");
}

/// `GuestConnection::dump_stacks` as the name of a module; two lines, for `Vm::exit` is not `VmExit`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.replace("::", "__").chars() {
        if letter.is_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
