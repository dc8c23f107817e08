//! The handlers that come with the program, embedded from `scripts/`; how they are looked up is
//! `locate`'s business.

/// A handler that is part of the program.
#[derive(Debug, PartialEq, Eq)]
pub struct Builtin {
    /// Its file name, `upper.lua`.
    pub name: &'static str,
    /// Its source.
    pub text: &'static str,
}

/// What runs where no script is named and `scripts/handler.lua` does not exist.
pub(super) const UPPER: Builtin = builtin("upper.lua", include_str!("../../scripts/upper.lua"));

/// Every handler that is part of the program, by name.
pub const BUILTINS: &[Builtin] = &[
    builtin("chat.lua", include_str!("../../scripts/chat.lua")),
    builtin("echo.lua", include_str!("../../scripts/echo.lua")),
    builtin("handler.lua", include_str!("../../scripts/handler.lua")),
    builtin("log.lua", include_str!("../../scripts/log.lua")),
    builtin("reject.lua", include_str!("../../scripts/reject.lua")),
    builtin("reverse.lua", include_str!("../../scripts/reverse.lua")),
    UPPER,
];

const fn builtin(name: &'static str, text: &'static str) -> Builtin {
    Builtin { name, text }
}

/// The one called `name`, with or without its ending.
pub(super) fn find(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|one| one.name == name || stem(one.name) == name)
}

/// The one whose name is spelled most like `name`.
pub(super) fn nearest(name: &str) -> Option<&'static Builtin> {
    let near = crate::text::nearest(stem(name), BUILTINS.iter().map(|one| stem(one.name)))?;
    find(near)
}

fn stem(name: &str) -> &str {
    name.strip_suffix(".lua").unwrap_or(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_scripts_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
        let mut on_disk: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "lua"))
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect();
        on_disk.sort();
        let embedded: Vec<_> = BUILTINS.iter().map(|one| one.name).collect();
        assert_eq!(on_disk, embedded);
    }

    #[test]
    fn a_name_is_found_with_and_without_its_ending() {
        assert_eq!(find("upper.lua"), Some(&UPPER));
        assert_eq!(find("upper"), Some(&UPPER));
        assert_eq!(find("uppe"), None);
    }

    #[test]
    fn the_nearest_name_is_one_that_could_have_been_meant() {
        assert_eq!(nearest("uper.lua"), Some(&UPPER));
        assert_eq!(nearest("Upper"), Some(&UPPER));
        assert_eq!(nearest("proxy.lua"), None);
    }
}
