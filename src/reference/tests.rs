//! The committed files against the data, and the data against itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::markdown::{document, headings};
use super::words::PROBLEMS;
use super::{Gives, LUALS_TYPES, LUAU_TYPES, MARKDOWN, MODULES, luals, luau};

/// Compares a committed file with what the data makes of it, or writes it.
#[track_caller]
fn compare(file: &str, committed: &str, made: &str) {
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reference");
        fs::write(folder.join(file), made).unwrap();
        return;
    }
    let differs = committed.lines().zip(made.lines()).position(|(old, new)| old != new);
    assert!(
        committed == made,
        "src/reference/{file} is out of date from line {}; \
         UPDATE_REFERENCE=1 cargo test --lib reference writes it",
        differs.unwrap_or_else(|| committed.lines().count().min(made.lines().count())) + 1
    );
}

#[test]
fn the_document_has_the_tables_of_the_data() {
    compare("reference.md", MARKDOWN, &document(MARKDOWN));
}

#[test]
fn the_luau_definitions_are_those_of_the_data() {
    compare("scriptsock.d.luau", LUAU_TYPES, &luau::definitions());
}

#[test]
fn the_luals_definitions_are_those_of_the_data() {
    compare("scriptsock.meta.lua", LUALS_TYPES, &luals::definitions());
}

#[test]
fn every_link_leads_to_a_heading() {
    let anchors: Vec<String> = headings(MARKDOWN).into_iter().map(|(_, anchor)| anchor).collect();
    assert!(anchors.len() > 10, "not the document: {anchors:?}");
    let links: Vec<&str> =
        MARKDOWN.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() >= anchors.len(), "the contents are not complete");
    for link in links {
        assert!(anchors.iter().any(|anchor| anchor == link), "no heading for #{link}");
    }
    let different: BTreeSet<&String> = anchors.iter().collect();
    assert_eq!(different.len(), anchors.len(), "two headings have one anchor: {anchors:?}");
}

#[test]
fn every_word_that_a_function_gives_is_explained() {
    let given: BTreeSet<&str> = MODULES
        .iter()
        .flat_map(|module| module.functions)
        .filter_map(|function| match function.gives {
            Gives::OrWord(_, words) => Some(words),
            _ => None,
        })
        .flatten()
        .copied()
        .chain(["not supported"]) // the text of conn:option where it is one of these words
        .collect();
    let explained: BTreeSet<&str> = PROBLEMS.iter().map(|problem| problem.word).collect();
    assert_eq!(given, explained);
}

#[test]
fn texts_are_sentences_on_one_line() {
    for module in MODULES {
        for function in module.functions {
            let text = function.text;
            assert!(text.ends_with('.') && !text.contains('\n'), "{}: {text}", function.name);
        }
        for field in module.fields {
            assert!(!field.text.contains('\n'), "{}: {}", field.name, field.text);
        }
    }
}
