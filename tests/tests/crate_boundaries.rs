//! The rules of the house that a compiler does not know: which crate may depend on which, that `locate` is pure and
//! synchronous, where `unsafe` may stand, that every crate takes the workspace's lints.
//!
//! Each rule is a function from text to violations, so that each is also shown a sample that breaks it.
//! A violation names file and line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Folder, package, and the workspace packages that it may depend on, in any kind of dependency.
const HOUSE: [(&str, &str, &[&str]); 5] = [
    ("index-shards", "index-shards", &[]),
    ("quantized-models", "quantized-models", &[]),
    ("daemon", "geolocated", &["index-shards", "quantized-models"]),
    ("tools", "geolocate", &["geolocated", "index-shards", "quantized-models"]),
    ("tests", "system-tests", &["geolocate", "geolocated", "index-shards", "quantized-models"]),
];

/// Where `unsafe` may stand: files, and folders with a trailing slash.
const UNSAFE_MODULES: [&str; 3] =
    ["index-shards/src/mapping.rs", "index-shards/src/kernels/", "quantized-models/src/weights.rs"];

/// The folder whose code computes only.
const PURE_FOLDER: &str = "daemon/src/locate";

/// Names that pure, synchronous code has no use for.
const IMPURE_NAMES: [&str; 5] = ["tokio", "rumqttc", "SystemTime", "async", "await"];

/// A package of the workspace, as its manifest tells.
struct Package {
    name: String,
    /// Relative to the workspace root.
    folder: String,
    /// Names of everything that it depends on, whatever the kind.
    dependencies: BTreeSet<String>,
    manifest: String,
}

impl Package {
    fn at(&self, needle: &str) -> String {
        let line = self.manifest.lines().position(|line| line.trim_start().starts_with(needle)).map_or(1, |at| at + 1);
        format!("{}/Cargo.toml:{line}", self.folder)
    }
}

/// The workspace holds the packages of the house at their places, and no other.
fn member_violations(packages: &[Package]) -> Vec<String> {
    let expected: BTreeSet<(&str, &str)> = HOUSE.iter().map(|(folder, name, _)| (*folder, *name)).collect();
    let found: BTreeSet<(&str, &str)> =
        packages.iter().map(|package| (package.folder.as_str(), package.name.as_str())).collect();
    let missing = expected.difference(&found).map(|(folder, name)| {
        format!("{folder}/Cargo.toml:1: expected package `{name}` here, a member of the workspace; found none")
    });
    let surplus = found.difference(&expected).map(|(folder, name)| {
        format!("{folder}/Cargo.toml:1: package `{name}` is none of the house's; add it to the house or remove it")
    });
    missing.chain(surplus).collect()
}

/// A package depends on no workspace package but those that the house allows it.
fn dependency_violations(packages: &[Package]) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = HOUSE.iter().map(|(_, name, allowed)| (*name, *allowed)).collect();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let mut violations = Vec::new();
    for package in packages {
        let may = allowed.get(package.name.as_str()).copied().unwrap_or_default();
        for dependency in package.dependencies.iter().filter(|name| ours.contains(name.as_str())) {
            if !may.contains(&dependency.as_str()) {
                let at = package.at(dependency);
                violations.push(format!("{at}: `{}` depends on `{dependency}`; allowed: {may:?}", package.name));
            }
        }
    }
    violations
}

/// A package takes the workspace's lints.
fn lint_violations(packages: &[Package]) -> Vec<String> {
    let takes_lints = |package: &Package| {
        let manifest: Option<toml::Table> = package.manifest.parse().ok();
        manifest.and_then(|table| table.get("lints")?.get("workspace")?.as_bool()) == Some(true)
    };
    let without = packages.iter().filter(|package| !takes_lints(package));
    without.map(|package| format!("{}: expected `[lints] workspace = true`", package.at("[lints]"))).collect()
}

/// A source file of the workspace, its path relative to the workspace root.
struct Source {
    path: String,
    text: String,
}

/// Code of the pure folder names neither the network, nor the wall clock, nor anything asynchronous.
fn purity_violations(source: &Source) -> Vec<String> {
    name_violations(source, "pure, synchronous code", &|name, below_std| {
        IMPURE_NAMES.contains(&name) || (below_std && name == "net")
    })
}

/// `unsafe` stands only in the modules that are named for it.
fn unsafe_violations(source: &Source) -> Vec<String> {
    let allowed = UNSAFE_MODULES
        .iter()
        .any(|module| source.path == *module || (module.ends_with('/') && source.path.starts_with(module)));
    if allowed { Vec::new() } else { name_violations(source, "this module", &|name, _| name == "unsafe") }
}

/// Decides about a name, knowing whether it stands directly below `std::`.
type Refuses<'a> = &'a dyn Fn(&str, bool) -> bool;

fn name_violations(source: &Source, place: &str, refuses: Refuses<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    match source.text.parse::<TokenStream>() {
        Ok(tokens) => refused_names(tokens, false, refuses, &mut |name, line| {
            violations.push(format!("{}:{line}: `{name}` has no place in {place}", source.path));
        }),
        Err(error) => violations.push(format!("{}:{}: {error}", source.path, error.span().start().line)),
    }
    violations
}

/// Walks names as the compiler sees them: comments and strings are not names, the inside of macros is.
fn refused_names(tokens: TokenStream, in_std_group: bool, refuses: Refuses<'_>, found: &mut dyn FnMut(&str, usize)) {
    let mut previous_name = String::new();
    // Separators since the previous name: "::" joins a path.
    let mut since = String::new();
    // At the start of a `std::{...}` group, and after each of its commas, names stand below `std`.
    let mut at_group_item = in_std_group;
    for token in tokens {
        let below_std = at_group_item || (previous_name == "std" && since == "::");
        match token {
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                if refuses(name.trim_start_matches("r#"), below_std) {
                    found(&name, ident.span().start().line);
                }
                previous_name = name;
                since.clear();
                at_group_item = false;
            }
            TokenTree::Group(group) => {
                let std_group = below_std && group.delimiter() == Delimiter::Brace;
                refused_names(group.stream(), std_group, refuses, found);
                previous_name.clear();
                at_group_item = false;
            }
            TokenTree::Punct(punct) => {
                since.push(punct.as_char());
                at_group_item = in_std_group && punct.as_char() == ',';
            }
            TokenTree::Literal(_) => {
                previous_name.clear();
                at_group_item = false;
            }
        }
    }
}

fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read_packages() -> Result<Vec<Package>, Box<dyn std::error::Error>> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(workspace_root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()?;
    let mut packages = Vec::new();
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().ok_or("a manifest without a folder")?;
        packages.push(Package {
            name: package.name.to_string(),
            folder: folder.strip_prefix(&metadata.workspace_root)?.to_string(),
            dependencies: package.dependencies.iter().map(|dependency| dependency.name.clone()).collect(),
            manifest: std::fs::read_to_string(&package.manifest_path)?,
        });
    }
    Ok(packages)
}

/// All Rust files below `folder`, which is relative to the workspace root; sorted.
fn read_sources(folder: &str) -> std::io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(workspace_root().join(&folder))? {
            let entry = entry?;
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.ends_with(".rs") {
                sources.push(Source { text: std::fs::read_to_string(entry.path())?, path });
            }
        }
    }
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(sources)
}

#[test]
fn the_workspace_holds_the_crates_of_the_house_and_no_other() {
    assert_eq!(member_violations(&read_packages().unwrap()), Vec::<String>::new());
}

#[test]
fn dependencies_go_from_tools_to_daemon_to_the_leaves() {
    assert_eq!(dependency_violations(&read_packages().unwrap()), Vec::<String>::new());
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    assert_eq!(lint_violations(&read_packages().unwrap()), Vec::<String>::new());
}

#[test]
fn locate_is_pure_and_synchronous() {
    let sources = read_sources(PURE_FOLDER).unwrap();
    assert!(!sources.is_empty(), "{PURE_FOLDER}: expected Rust files, found none");
    assert_eq!(sources.iter().flat_map(purity_violations).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn unsafe_stands_only_in_the_modules_named_for_it() {
    for (folder, ..) in HOUSE {
        let sources = read_sources(folder).unwrap();
        assert!(!sources.is_empty(), "{folder}: expected Rust files, found none");
        assert_eq!(sources.iter().flat_map(unsafe_violations).collect::<Vec<_>>(), Vec::<String>::new());
    }
}

/// The rules, shown samples that break them and samples that only look as if they did.
mod rules {
    use super::*;

    fn sample(name: &str, folder: &str, manifest: &str) -> Package {
        let table: toml::Table = manifest.parse().unwrap_or_default();
        let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
        let tables = kinds.iter().filter_map(|kind| table.get(*kind)?.as_table());
        let dependencies = tables.flat_map(|table| table.keys().cloned()).collect();
        Package { name: name.to_owned(), folder: folder.to_owned(), dependencies, manifest: manifest.to_owned() }
    }

    fn house() -> Vec<Package> {
        HOUSE.iter().map(|(folder, name, _)| sample(name, folder, "[lints]\nworkspace = true\n")).collect()
    }

    fn purity(text: &str) -> Vec<String> {
        purity_violations(&Source { path: "daemon/src/locate/a.rs".to_owned(), text: text.to_owned() })
    }

    fn unsafety(path: &str, text: &str) -> Vec<String> {
        unsafe_violations(&Source { path: path.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn the_house_itself_breaks_none() {
        assert_eq!(member_violations(&house()), Vec::<String>::new());
        assert_eq!(dependency_violations(&house()), Vec::<String>::new());
        assert_eq!(lint_violations(&house()), Vec::<String>::new());
    }

    #[test]
    fn another_member_is_named() {
        let mut packages = house();
        packages.push(sample("common", "common", ""));
        let violations = member_violations(&packages);
        assert_eq!(violations.len(), 1);
        assert!(violations[0].starts_with("common/Cargo.toml:1: package `common`"), "{violations:?}");
    }

    #[test]
    fn a_missing_or_moved_member_is_named() {
        let mut packages = house();
        packages.retain(|package| package.name != "geolocate");
        assert!(member_violations(&packages)[0].starts_with("tools/Cargo.toml:1: expected package `geolocate`"));
        packages.push(sample("geolocate", "cli", ""));
        assert_eq!(member_violations(&packages).len(), 2);
    }

    #[test]
    fn a_leaf_that_knows_the_other_leaf_is_named_with_its_line() {
        let mut packages = house();
        packages[0].manifest = "[dev-dependencies]\nserde = \"1\"\nquantized-models.workspace = true\n".to_owned();
        packages[0] = sample("index-shards", "index-shards", &packages[0].manifest);
        let violations = dependency_violations(&packages);
        assert_eq!(violations.len(), 1);
        let expected = "index-shards/Cargo.toml:3: `index-shards` depends on `quantized-models`";
        assert!(violations[0].starts_with(expected), "{violations:?}");
    }

    #[test]
    fn a_daemon_that_depends_on_the_tool_is_named() {
        let mut packages = house();
        packages[2] = sample("geolocated", "daemon", "[build-dependencies]\ngeolocate.workspace = true\n");
        let violations = dependency_violations(&packages);
        assert!(
            violations[0].starts_with("daemon/Cargo.toml:2: `geolocated` depends on `geolocate`"),
            "{violations:?}"
        );
    }

    #[test]
    fn nobody_may_depend_on_the_system_tests() {
        let mut packages = house();
        packages[3] = sample("geolocate", "tools", "[dependencies]\nsystem-tests.workspace = true\n");
        assert_eq!(dependency_violations(&packages).len(), 1);
    }

    #[test]
    fn lints_left_out_or_switched_off_are_named() {
        let mut packages = house();
        packages[1] = sample("quantized-models", "quantized-models", "[dependencies]\n");
        packages[4] = sample("system-tests", "tests", "[dependencies]\n[lints]\nworkspace = false\n");
        let violations = lint_violations(&packages);
        assert_eq!(violations.len(), 2);
        assert!(violations[0].starts_with("quantized-models/Cargo.toml:1:"), "{violations:?}");
        assert!(violations[1].starts_with("tests/Cargo.toml:2:"), "{violations:?}");
    }

    #[test]
    fn network_clock_and_async_are_found_in_use_lines_and_in_paths() {
        for (text, line) in [
            ("use tokio::sync::mpsc;", 1),
            ("\n\nuse rumqttc::v5::Client;", 3),
            ("use std::net::TcpStream;", 1),
            ("use std::{fmt, net::TcpStream};", 1),
            ("use std::{\n    fmt,\n    net,\n};", 3),
            ("use ::std::time::{Duration, SystemTime};", 1),
            ("fn now() {\n    let _ = std::time::SystemTime::now();\n}", 2),
            ("fn dial() { std::net::TcpStream::connect(\"x\"); }", 1),
            ("macro_rules! m { () => { tokio::spawn(f()) }; }", 1),
            ("async fn f() {}", 1),
        ] {
            let violations = purity(text);
            assert_eq!(violations.len(), 1, "{text}: {violations:?}");
            assert!(violations[0].starts_with(&format!("daemon/src/locate/a.rs:{line}: ")), "{violations:?}");
        }
    }

    #[test]
    fn comments_strings_and_other_names_are_not_found() {
        for text in [
            "//! Knows neither tokio nor rumqttc, nor std::net, nor SystemTime.",
            "fn f() -> &'static str { \"use tokio::sync; unsafe\" }",
            "use std::{fmt, time::Instant};\nfn f(net: f32) -> f32 { let x = std::f32::consts::PI; net * x }",
            "struct Tokio; struct Internet;",
        ] {
            assert_eq!(purity(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_rust_is_a_violation() {
        assert!(purity("fn f( {")[0].starts_with("daemon/src/locate/a.rs:1:"));
    }

    #[test]
    fn unsafe_blocks_functions_impls_and_attributes_are_found() {
        for text in [
            "fn f() { unsafe { g() } }",
            "unsafe fn f() {}",
            "unsafe impl Send for A {}",
            "#[unsafe(no_mangle)] fn f() {}",
        ] {
            let violations = unsafety("daemon/src/main.rs", text);
            assert_eq!(violations, ["daemon/src/main.rs:1: `unsafe` has no place in this module"], "{text}");
        }
    }

    #[test]
    fn unsafe_is_allowed_in_its_modules_only() {
        let text = "fn f() { unsafe { g() } }";
        for path in
            ["index-shards/src/mapping.rs", "index-shards/src/kernels/avx2.rs", "quantized-models/src/weights.rs"]
        {
            assert_eq!(unsafety(path, text), Vec::<String>::new(), "{path}");
        }
        for path in ["index-shards/src/mapping.rs.rs", "index-shards/src/kernels.rs", "tools/src/mapping.rs"] {
            assert_eq!(unsafety(path, text).len(), 1, "{path}");
        }
        assert_eq!(unsafety("index-shards/src/lib.rs", "// unsafe\n#![deny(unsafe_code)]"), Vec::<String>::new());
    }
}
