//! Rows about files over SFTP, near and over a long link.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use crate::bench::embedded::{self, Batch};
use crate::bench::far::{Far, Link};
use crate::bench::programs::{Programs, finish};
use crate::bench::rows::{BYTES, Duel, Side};
use crate::bench::server::{HOST, Server};
use crate::outcome::Failure;
use crate::shell;

/// Of the small files.
const FILES: u32 = 2000;
const FILE_BYTES: usize = 4096;
/// A peer that takes several round trips for each takes too long over a long link to be measured whole.
const FILES_OF_SFTP: u32 = FILES / 10;
/// The same, of one file.
const BYTES_OF_SFTP: u64 = BYTES / 16;
/// The file, and half as much again.
const MEMORY: u64 = BYTES / 2 * 3;
const OWN_CHOICE: &str = "the same, with its own choice of connections";
const FEW: u32 = 3;
pub(super) const GIGABIT: f64 = 125e6;

/// One large file over one connection and over as many as the program chooses, and many small files, to and from a file
/// system in memory where there is one; both sides write over what their last run left.
pub(in crate::bench) fn sftp<'a>(
    server: &'a Server,
    programs: &'a Programs<'a>,
) -> Result<Vec<Duel<'a>>, Failure> {
    let mut duels = large_file(server, programs)?;
    duels.extend(small_files(server, programs)?);
    Ok(duels)
}

fn large_file<'a>(server: &'a Server, programs: &'a Programs<'a>) -> Result<Vec<Duel<'a>>, Failure> {
    let file = server.file("data", BYTES)?;
    let of_ours = file.with_extension("ours");
    let of_theirs = file.with_extension("theirs");
    let ways = [
        ("get", remote(&file), of_ours.clone().into_os_string(), ["SFTP gets 1 GiB", OWN_CHOICE], 0.70, 0.62),
        ("put", file.clone().into_os_string(), remote(&of_ours), ["SFTP puts 1 GiB", OWN_CHOICE], 0.82, 0.65),
    ];
    let duels = ways.map(|(way, from, to, [one, own], wall, cpu)| {
        let line = format!("{way} {} {}", file.display(), of_theirs.display());
        let batch = Rc::new(Batch::write(server, &format!("{way}_one"), &line)?);
        let duel = |title, options: &'static [&'static str]| {
            check_copy(programs.shipped_transfer(options, &from, &to), &file, &of_ours)?;
            let (from, to, batch) = (from.clone(), to.clone(), Rc::clone(&batch));
            let ours =
                Side::program("`rustle-connect`", move || programs.shipped_transfer(options, &from, &to));
            let theirs = Side::program("`sftp`", move || embedded::sftp_of(server, &batch));
            Ok(Duel::new(title, ours, theirs).at_best(as_output(programs, way, &file)).memory(MEMORY))
        };
        let (of_one, of_own): (&[&str], &[&str]) = match way {
            "get" => (&["get", "--connections", "1"], &["get"]),
            _ => (&["put", "--connections", "1"], &["put"]),
        };
        Ok([duel(one, of_one)?.wall(wall).cpu(cpu), duel(own, of_own)?.wall(0.60)])
    });
    let duels: Result<Vec<_>, Failure> = duels.into_iter().collect();
    Ok(duels?.into_iter().flatten().collect())
}

/// Directories have no pattern to be looked for, and are there beforehand on the receiving side: so both sides make one
/// and write over its files from then on.
fn small_files<'a>(server: &'a Server, programs: &'a Programs<'a>) -> Result<Vec<Duel<'a>>, Failure> {
    let folder = server.files("many", FILES, FILE_BYTES)?;
    let [of_ours, of_theirs] = made(&folder)?;
    let all = folder.join(".");
    let ways = [
        (
            "get",
            &["get", "-r"],
            remote(&all),
            of_ours.clone().into_os_string(),
            "SFTP gets 2000 files of 4 KiB",
        ),
        (
            "put",
            &["put", "-r"],
            all.clone().into_os_string(),
            remote(&of_ours),
            "SFTP puts 2000 files of 4 KiB",
        ),
    ];
    let duels = ways.map(|(way, options, from, to, title)| {
        let line = format!("{way} -r {}/* {}/", folder.display(), of_theirs.display());
        let batch = Batch::write(server, &format!("{way}_many"), &line)?;
        finish(programs.shipped_transfer(options, &from, &to))?;
        let mut diff = Command::new("diff");
        shell::capture_ok(diff.arg("-r").arg(&folder).arg(&of_ours))?;
        let ours =
            Side::program("`rustle-connect -r`", move || programs.shipped_transfer(options, &from, &to));
        let theirs = Side::program("`sftp`", move || embedded::sftp_of(server, &batch));
        Ok(Duel::new(title, ours, theirs).wall(0.3))
    });
    duels.into_iter().collect()
}

/// The same where an answer takes long: the relay between is the same for both sides.
pub(in crate::bench) fn far<'a>(
    server: &'a Server,
    programs: &'a Programs<'a>,
) -> Result<Vec<Duel<'a>>, Failure> {
    let link =
        |milliseconds| Link { round_trip: Duration::from_millis(milliseconds), bytes_per_second: GIGABIT };
    let mut duels = large_file_far(server, programs, &Far::start(server, "100", link(100))?)?;
    duels.extend(small_files_far(server, programs, &Far::start(server, "50", link(50))?)?);
    Ok(duels)
}

/// At 100 MB/s and more.
fn large_file_far<'a>(
    server: &'a Server,
    programs: &Programs<'a>,
    far: &Far,
) -> Result<Vec<Duel<'a>>, Failure> {
    let (file, part) = (server.file("data", BYTES)?, server.file("part", BYTES_OF_SFTP)?);
    let (of_ours, of_theirs) = (file.with_extension("ours"), file.with_extension("theirs"));
    let ways = [
        (
            "get",
            remote(&file),
            of_ours.clone().into_os_string(),
            "SFTP gets 1 GiB at 100 ms and 1 Gb/s, one login",
        ),
        (
            "put",
            file.clone().into_os_string(),
            remote(&of_ours),
            "SFTP puts 1 GiB at 100 ms and 1 Gb/s, one login",
        ),
    ];
    let duels = ways.map(|(way, from, to, title)| {
        let line = format!("{way} {} {}", part.display(), of_theirs.display());
        let batch = Batch::write(server, &format!("{way}_part"), &line)?;
        let over = programs.over(far);
        let transfer = move || over.shipped_transfer(&[way, "--connections", "1"], &from, &to);
        check_copy(transfer(), &file, &of_ours)?;
        let config = far.ssh_config().to_owned();
        let theirs = Side::program("`sftp`, from a sixteenth", move || embedded::sftp(&config, &batch));
        let theirs = theirs.scaled((BYTES / BYTES_OF_SFTP) as f64);
        let ours = Side::program("`rustle-connect`", transfer);
        Ok(Duel::new(title, ours, theirs).seconds(BYTES as f64 / 100e6).pairs_at_most(FEW))
    });
    duels.into_iter().collect()
}

fn small_files_far<'a>(
    server: &'a Server,
    programs: &Programs<'a>,
    far: &Far,
) -> Result<Vec<Duel<'a>>, Failure> {
    let (folder, some) =
        (server.files("many", FILES, FILE_BYTES)?, server.files("some", FILES_OF_SFTP, FILE_BYTES)?);
    let [of_ours, of_theirs] = made(&folder)?;
    let all = folder.join(".");
    let ways = [
        ("get", remote(&all), of_ours.clone().into_os_string(), "SFTP gets 2000 files of 4 KiB at 50 ms"),
        ("put", all.clone().into_os_string(), remote(&of_ours), "SFTP puts 2000 files of 4 KiB at 50 ms"),
    ];
    let duels = ways.map(|(way, from, to, title)| {
        let line = format!("{way} -r {}/* {}/", some.display(), of_theirs.display());
        let batch = Batch::write(server, &format!("{way}_some"), &line)?;
        let over = programs.over(far);
        let ours =
            Side::program("`rustle-connect -r`", move || over.shipped_transfer(&[way, "-r"], &from, &to));
        let config = far.ssh_config().to_owned();
        let theirs = Side::program("`sftp`, from 200", move || embedded::sftp(&config, &batch));
        let theirs = theirs.scaled(f64::from(FILES) / f64::from(FILES_OF_SFTP));
        Ok(Duel::new(title, ours, theirs).wall(0.03).pairs_at_most(FEW))
    });
    duels.into_iter().collect()
}

/// The same bytes as a command's plain output, written to a file, or as its input: what any transfer over one connection
/// takes at least.
fn as_output<'a>(programs: &'a Programs<'a>, way: &str, file: &Path) -> Side<'a> {
    let (from, to) = (file.to_owned(), file.with_extension("plain"));
    let gets = way == "get";
    Side::new("`rustle-connect exec HOST cat`", move || {
        let opened = |result: io::Result<File>| result.map_err(|error| Failure::new(error.to_string()));
        let mut command = match gets {
            true => programs.shipped(&format!("cat {}", from.display())),
            false => programs.shipped(&format!("cat > {}", to.display())),
        };
        match gets {
            true => command.stdout(opened(File::create(&to))?),
            false => command.stdin(opened(File::open(&from))?),
        };
        finish(command)
    })
}

/// Where each side puts copies of this folder.
fn made(folder: &Path) -> Result<[PathBuf; 2], Failure> {
    let copies = [folder.with_extension("ours"), folder.with_extension("theirs")];
    for copy in &copies {
        fs::create_dir_all(copy).map_err(|error| Failure::new(format!("{}: {error}", copy.display())))?;
    }
    Ok(copies)
}

/// As an operand of ours.
fn remote(path: &Path) -> OsString {
    OsString::from(format!("{HOST}:{}", path.display()))
}

/// Whether the copy is one; a side that loses some would be measured as a fast one.
fn check_copy(command: Command, file: &Path, copy: &Path) -> Result<(), Failure> {
    finish(command)?;
    let mut cmp = Command::new("cmp");
    shell::capture_ok(cmp.arg(file).arg(copy)).map(|_| ())
}
