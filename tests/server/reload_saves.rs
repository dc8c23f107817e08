//! How a change of the script reaches the running server: every kind of save that editors and
//! deployments make, each seen by a client that stays connected. What a new generation may do is
//! in `reload_refusals` and `reload_state`.

use crate::support::{SIGHUP, Server, wait_until};
use crate::talk::{answering, ask, reload};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

/// Runs a test once with each way to notice changes. Generation 1 answers `one`.
fn with_each_watch(test: impl Fn(&Server)) {
    for watch in ["native", "poll"] {
        eprintln!("--watch {watch}");
        let server = Server::builder().script(&answering("one")).args(["--watch", watch]).start();
        test(&server);
    }
}

/// Writes the file beside its place and renames it over, as most editors do.
fn rename_over(server: &Server, path: &str, text: &str) {
    let temporary = format!("{path}.tmp~");
    server.save(&temporary, text);
    fs::rename(server.dir().join(temporary), server.dir().join(path)).unwrap();
}

/// The content hash in the line that announced a generation.
fn hash_of(server: &Server, generation: usize) -> String {
    let line = server.wait_log(&format!("generation {generation} is live"));
    let hash = line.split_whitespace().find_map(|word| word.strip_prefix("hash="));
    hash.unwrap_or_else(|| panic!("no hash in {line:?}")).to_owned()
}

#[test]
fn a_save_in_place_goes_live() {
    with_each_watch(|server| {
        let mut client = server.tcp();
        client.exchange(b"x", b"one\n");
        reload(server, &answering("two"), 2);
        client.exchange(b"x", b"two\n");
        reload(server, &answering("three"), 3);
        client.exchange(b"x", b"three\n");
    });
}

#[test]
fn a_save_by_rename_goes_live_again_and_again() {
    with_each_watch(|server| {
        let mut client = server.tcp();
        for generation in 2..6 {
            let word = format!("word {generation}");
            rename_over(server, "handler.lua", &answering(&word));
            server.wait_log(&format!("generation {generation} is live"));
            assert_eq!(ask(&mut client, "x"), word);
        }
    });
}

#[test]
fn a_save_that_truncates_and_writes_slowly_goes_live_whole() {
    with_each_watch(|server| {
        let mut client = server.tcp();
        let mut file = File::create(server.dir().join("handler.lua")).unwrap();
        client.exchange(b"x", b"one\n");
        for part in ["return function() ", "return \"two", "\\n\" end"] {
            sleep(Duration::from_millis(15));
            file.write_all(part.as_bytes()).unwrap();
        }
        drop(file);
        server.wait_log("generation 2 is live");
        client.exchange(b"x", b"two\n");
    });
}

#[test]
fn a_save_by_rename_of_the_old_file_away_goes_live() {
    with_each_watch(|server| {
        let mut client = server.tcp();
        let script = server.dir().join("handler.lua");
        fs::rename(&script, server.dir().join("handler.lua~")).unwrap();
        server.save("handler.lua", &answering("two"));
        server.wait_log("generation 2 is live");
        client.exchange(b"x", b"two\n");
    });
}

/// A folder as Kubernetes mounts a `ConfigMap`: the files are links into `..data`, which is a link
/// to the folder of one version.
fn config_map(watch: &str) -> Server {
    let builder = Server::builder()
        .file("mount/..v1/handler.lua", "return require(\"./words\")\n")
        .file("mount/..v1/words.lua", &answering("one"))
        .args(["--script", "mount/handler.lua", "--watch", watch]);
    let mount = builder.dir().join("mount");
    symlink("..v1", mount.join("..data")).unwrap();
    for name in ["handler.lua", "words.lua"] {
        symlink(Path::new("..data").join(name), mount.join(name)).unwrap();
    }
    builder.start()
}

#[test]
fn a_symlink_swap_in_the_config_map_manner_goes_live() {
    for watch in ["native", "poll"] {
        let server = config_map(watch);
        let mut client = server.tcp();
        client.exchange(b"x", b"one\n");
        let mount = server.dir().join("mount");
        for (generation, word) in [(2, "two"), (3, "three")] {
            let folder = format!("..v{generation}");
            server.save(&format!("mount/{folder}/handler.lua"), "return require(\"./words\")\n");
            server.save(&format!("mount/{folder}/words.lua"), &answering(word));
            symlink(&folder, mount.join("..data_tmp")).unwrap();
            fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
            fs::remove_dir_all(mount.join(format!("..v{}", generation - 1))).unwrap();
            server.wait_log(&format!("generation {generation} is live"));
            assert_eq!(ask(&mut client, "x"), word);
        }
    }
}

#[test]
fn a_script_behind_a_symlink_follows_its_target() {
    let builder = Server::builder()
        .file("real/handler.lua", &answering("one"))
        .args(["--script", "handler.lua"]);
    symlink("real/handler.lua", builder.dir().join("handler.lua")).unwrap();
    let server = builder.start();
    let mut client = server.tcp();
    server.save("real/handler.lua", &answering("two"));
    server.wait_log("generation 2 is live");
    client.exchange(b"x", b"two\n");
}

#[test]
fn a_deleted_script_is_waited_for_and_its_return_goes_live() {
    with_each_watch(|server| {
        let mut client = server.tcp();
        fs::remove_file(server.dir().join("handler.lua")).unwrap();
        server.wait_log("script is missing, generation 1 stays live until it returns");
        client.exchange(b"x", b"one\n");
        reload(server, &answering("two"), 2);
        client.exchange(b"x", b"two\n");
    });
}

#[test]
fn a_deleted_script_that_returns_unchanged_is_no_new_generation() {
    with_each_watch(|server| {
        fs::remove_file(server.dir().join("handler.lua")).unwrap();
        server.wait_log("script is missing");
        server.save("handler.lua", &answering("one"));
        server.signal(SIGHUP);
        server.wait_log("script unchanged, generation 1 stays live");
        server.tcp().exchange(b"x", b"one\n");
        reload(server, &answering("two"), 2);
    });
}

#[test]
fn a_script_whose_folder_is_swapped_goes_live() {
    let server = Server::builder()
        .file("live/handler.lua", &answering("one"))
        .args(["--script", "live/handler.lua"])
        .start();
    let mut client = server.tcp();
    server.save("next/handler.lua", &answering("two"));
    fs::rename(server.dir().join("live"), server.dir().join("old")).unwrap();
    fs::rename(server.dir().join("next"), server.dir().join("live")).unwrap();
    server.wait_log("generation 2 is live");
    client.exchange(b"x", b"two\n");
    server.save("live/handler.lua", &answering("three"));
    server.wait_log("generation 3 is live");
    client.exchange(b"x", b"three\n");
}

#[test]
fn the_restore_of_an_older_file_goes_live_with_its_old_hash() {
    with_each_watch(|server| {
        let mut client = server.tcp();
        reload(server, &answering("two"), 2);
        server.save("backup.lua", &answering("one"));
        let long_ago = SystemTime::now() - Duration::from_hours(1);
        let backup = server.dir().join("backup.lua");
        File::options().write(true).open(&backup).unwrap().set_modified(long_ago).unwrap();
        fs::rename(backup, server.dir().join("handler.lua")).unwrap();
        server.wait_log("generation 3 is live");
        client.exchange(b"x", b"one\n");
        assert_eq!(hash_of(server, 3), hash_of(server, 1));
        assert_ne!(hash_of(server, 2), hash_of(server, 1));
    });
}

#[test]
fn the_content_decides_where_time_and_length_are_the_same() {
    with_each_watch(|server| {
        let path = server.dir().join("handler.lua");
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        server.save("handler.lua", &answering("two"));
        File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        server.wait_log("generation 2 is live");
        server.tcp().exchange(b"x", b"two\n");
    });
}

#[test]
fn an_unchanged_save_is_no_new_generation() {
    with_each_watch(|server| {
        server.save("handler.lua", &answering("one"));
        rename_over(server, "handler.lua", &answering("one"));
        reload(server, &answering("two"), 2);
        server.tcp().exchange(b"x", b"two\n");
        server.assert_no_log("reload failed");
    });
}

#[test]
fn a_hangup_reloads_without_a_watch() {
    let server = Server::builder().script(&answering("one")).args(["--watch", "off"]).start();
    let mut client = server.tcp();
    server.save("handler.lua", &answering("two"));
    client.exchange(b"x", b"one\n");
    server.signal(SIGHUP);
    server.wait_log("generation 2 is live");
    client.exchange(b"x", b"two\n");
}

#[test]
fn a_hangup_without_a_change_says_so() {
    let server = Server::builder().script(&answering("one")).start();
    server.signal(SIGHUP);
    server.wait_log("script unchanged, generation 1 stays live");
    server.tcp().exchange(b"x", b"one\n");
    server.assert_no_log("generation 2");
}

/// A handler that answers with what a chain of two modules says.
fn with_modules() -> Server {
    Server::builder()
        .script("local words = require(\"./lib/words\")\nreturn function() return words end\n")
        .file("lib/words.lua", "return require(\"./deep/word\") .. \"\\n\"\n")
        .file("lib/deep/word.lua", "return \"one\"\n")
        .start()
}

#[test]
fn a_change_in_a_required_module_goes_live() {
    let server = with_modules();
    let mut client = server.tcp();
    client.exchange(b"x", b"one\n");
    server.save("lib/words.lua", "return \"two\\n\"\n");
    server.wait_log("generation 2 is live");
    client.exchange(b"x", b"two\n");
}

#[test]
fn a_change_in_a_module_of_a_module_goes_live() {
    let server = with_modules();
    let mut client = server.tcp();
    client.exchange(b"x", b"one\n");
    rename_over(&server, "lib/deep/word.lua", "return \"two\"\n");
    server.wait_log("generation 2 is live");
    client.exchange(b"x", b"two\n");
}

#[test]
fn a_module_that_only_the_new_script_requires_is_watched_too() {
    let server = Server::builder().script(&answering("one")).start();
    let mut client = server.tcp();
    server.save("extra/words.lua", &answering("two"));
    reload(&server, "return require(\"./extra/words\")\n", 2);
    client.exchange(b"x", b"two\n");
    server.save("extra/words.lua", &answering("three"));
    server.wait_log("generation 3 is live");
    client.exchange(b"x", b"three\n");
}

#[test]
fn a_missing_module_is_waited_for() {
    let server = Server::builder().script(&answering("one")).start();
    let mut client = server.tcp();
    server.save("handler.lua", "return require(\"./lib/words\")\n");
    server.wait_log("reload failed, generation 1 stays live");
    client.exchange(b"x", b"one\n");
    server.save("lib/words.lua", &answering("two"));
    server.wait_log("generation 2 is live");
    client.exchange(b"x", b"two\n");
}

#[test]
fn a_file_that_no_one_requires_changes_nothing() {
    let server = Server::builder().script(&answering("one")).start();
    server.save("notes.lua", "this is no Lua");
    server.save("lib/unused.lua", "neither is this");
    reload(&server, &answering("two"), 2);
    server.assert_no_log("reload failed");
}

#[test]
fn of_twenty_saves_within_a_second_the_last_one_stays() {
    with_each_watch(|server| {
        let mut client = server.tcp();
        for number in 1..=20 {
            server.save("handler.lua", &answering(&format!("save {number}")));
            sleep(Duration::from_millis(40));
            let answer = ask(&mut client, "x");
            assert!(answer == "one" || answer.starts_with("save "), "{answer:?}");
        }
        wait_until("the last save should be live", || {
            (ask(&mut client, "x") == "save 20").then_some(())
        });
        assert!(server.log_count("is live") <= 21, "{}", server.log_text());
    });
}

#[test]
fn the_default_script_goes_live_when_it_appears() {
    let server = Server::builder().start();
    let mut client = server.tcp();
    client.exchange(b"abc", b"ABC");
    server.save("scripts/handler.lua", &answering("mine"));
    server.wait_log("generation 2 is live");
    client.exchange(b"abc", b"mine\n");
}
