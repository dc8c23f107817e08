//! `string.upper` and `string.lower`, which are ours, against what Luau's own do.

use crate::table::expect;

#[test]
fn ascii_letters_change_and_no_other_byte_does() {
    expect(&[
        ("('aZ{[`@ 09'):upper()", "AZ{[`@ 09"),
        ("('aZ{[`@ 09'):lower()", "az{[`@ 09"),
        ("('äÖ'):upper() == 'äÖ' and ('äÖ'):lower() == 'äÖ'", "true"),
        ("('a\\0b'):upper() == 'A\\0B'", "true"),
        ("(''):upper() == '' and (''):lower() == ''", "true"),
        ("string.upper(12)", "12"),
    ]);
}

#[test]
fn every_length_around_a_piece_comes_back_whole() {
    let of_length = |length: usize| {
        let text = format!("('aB\\xff'):rep({length}):sub(1, {length})");
        format!(
            "{text}:upper() == ('AB\\xff'):rep({length}):sub(1, {length}) \
             and {text}:lower() == ('ab\\xff'):rep({length}):sub(1, {length})"
        )
    };
    let texts = [1, 31, 511, 512, 513, 4095, 4096, 4097, 8193, 100_000].map(of_length);
    let cases: Vec<_> = texts.iter().map(|text| (&**text, "true")).collect();
    expect(&cases);
}

#[test]
fn what_is_no_string_is_told_as_luau_does() {
    expect(&[
        ("select(2, pcall(string.upper))", "missing argument #1 to 'upper' (string expected)"),
        (
            "select(2, pcall(string.lower, {}))",
            "invalid argument #1 to 'lower' (string expected, got table)",
        ),
    ]);
}
