//! The texts of the scripts. They have no names in them, and keep to POSIX but for what the far side was found to have.

use crate::commands::probe::{Programs, RealPath, Stat};

/// A script with what all of them share:
///
/// - `a PATH`: says by its exit code why the path leads to nothing.
/// - `t PATH`: goes on only where there is something under the name, if only a link.
/// - `f PATH`: goes on only where the path leads to something.
/// - `p PATH`: says why nothing can be changed in the directory of the path.
/// - `s PATH [L]`: a line about a file, or with `L` about what a link leads to.
/// - `n PATH`: the length of what the path leads to, without having to read it.
pub(super) fn whole(programs: Programs, body: &str) -> String {
    let stat = match programs.stat {
        Stat::Gnu => r#"stat ${2:+-L} -c "x%f %s %u %g %X %Y" "$1""#,
        Stat::Bsd => r#"stat ${2:+-L} -f "o%p %z %u %g %a %m" "$1""#,
        Stat::Ls => r#"set -f;set -- $(ls -ldn$2 "$1");set +f;[ "$5" ]&&echo "$1 $2 $3 $4 $5""#,
    };
    format!("{SHARED} s(){{ {stat};}}; {body}")
}

/// `d` walks up until something is there; it ends at `/` or `.`.
///
/// The variables are those by which GNU's `ls` and others tell lengths in other units than bytes.
const SHARED: &str = r#"echo rustle-script: >&2;LC_ALL=C;export LC_ALL;unset BLOCK_SIZE LS_BLOCK_SIZE BLOCKSIZE;
u(){ case $d in */*)d=${d%/*};[ "$d" ]||d=/;;*)d=.;;esac;};
a(){ d=$1;while u;do
if [ -d "$d" ];then if [ -x "$d" ];then exit 61;fi;exit 62;fi;
if [ -e "$d" ];then exit 65;fi;
case $d in /|.)exit 61;;esac;done;};
t(){ [ -e "$1" ]||[ -L "$1" ]||a "$1";};
f(){ [ -e "$1" ]||{ if [ -L "$1" ];then exit 61;fi;a "$1";};};
p(){ d=$1;u;[ -d "$d" ]||a "$1";if [ -w "$d" ]&&[ -x "$d" ];then exit 69;fi;exit 62;};
n(){ set -f;set -- $(ls -ldnL "$1");echo "$5";};"#;

pub(super) const STAT: &str = r#"f "$1";s "$1" L||exit 69"#;

pub(super) const LSTAT: &str = r#"t "$1";s "$1"||exit 69"#;

pub(super) const EXISTS: &str = r#"f "$1""#;

/// The length, the permissions, the owner, and two times as `touch` has them; each may be empty.
pub(super) const SET: &str = r#"f "$1";
if [ "$2" ];then if [ -d "$1" ];then exit 64;fi;[ -f "$1" ]||exit 67;[ -w "$1" ]||exit 62;
dd if=/dev/null of="$1" bs=1 seek="$2" count=0||exit 69;fi;
if [ "$3" ];then chmod "$3" "$1"||exit 69;fi;
if [ "$4" ];then chown "$4" "$1"||exit 69;fi;
if [ "$5" ];then TZ=UTC0;export TZ;touch -c -a -t "$5" "$1"&&touch -c -m -t "$6" "$1"||exit 69;fi"#;

pub(super) const MAKE_DIR: &str =
    r#"if mkdir "$1";then exit 0;fi;if [ -e "$1" ]||[ -L "$1" ];then exit 63;fi;p "$1""#;

/// One that may be there. The second parameter are the permissions of a new one before the mask; with a third, one that is
/// there is opened to its owner. Whoever may not do that may still be allowed to write.
pub(super) const MERGE_DIR: &str = r#"u=$(umask);if mkdir -m "$(printf "%o" $((0$2&~0$u)))" "$1";then exit 0;fi;
if [ -d "$1" ];then if [ "$3" ]&&{ [ ! -r "$1" ]||[ ! -w "$1" ]||[ ! -x "$1" ];};then chmod u+rwx "$1";fi;exit 0;fi;
if [ -e "$1" ]||[ -L "$1" ];then exit 65;fi;p "$1""#;

pub(super) const MAKE_DIRS: &str = r#"if mkdir -p "$1";then exit 0;fi;
if [ -e "$1" ]||[ -L "$1" ];then exit 63;fi;d=$1;while u;do
if [ -d "$d" ];then if [ -w "$d" ]&&[ -x "$d" ];then exit 69;fi;exit 62;fi;
if [ -e "$d" ]||[ -L "$d" ];then exit 65;fi;case $d in /|.)exit 61;;esac;done"#;

/// What there is keeps its own permissions, which are set afterwards. Prints the length of the copy.
pub(super) const COPY: &str = r#"f "$1";if [ -d "$1" ];then exit 64;fi;[ -f "$1" ]||exit 67;[ -r "$1" ]||exit 62;
if [ -d "$2" ];then exit 64;fi;if [ -e "$2" ]&&[ ! -f "$2" ];then exit 67;fi;
cp "$1" "$2"||{ if [ -e "$2" ];then if [ -w "$2" ];then exit 69;fi;exit 62;fi;p "$2";};n "$2""#;

/// A header, and a line about the file system: its name, blocks of 1024 bytes in all, used and available, and more.
pub(super) const SPACE: &str = r#"f "$1";df -P -k "$1"||exit 69"#;

pub(super) const REMOVE: &str = r#"t "$1";if [ -d "$1" ]&&[ ! -L "$1" ];then exit 64;fi;rm -f "$1"||p "$1""#;

pub(super) const REMOVE_DIR: &str = r#"t "$1";if [ -L "$1" ]||[ ! -d "$1" ];then exit 65;fi;if rmdir "$1";then exit 0;fi;
for i in "$1"/* "$1"/.[!.]* "$1"/..?*;do if [ -e "$i" ]||[ -L "$i" ];then exit 66;fi;done;p "$1""#;

pub(super) const REMOVE_TREE: &str =
    r#"t "$1";if [ ! -L "$1" ]&&[ ! -d "$1" ];then exit 65;fi;rm -rf "$1"||exit 69"#;

pub(super) const SYMLINK: &str = r#"if [ -e "$2" ]||[ -L "$2" ];then exit 63;fi;ln -s -- "$1" "$2"||p "$2""#;

pub(super) const HARD_LINK: &str =
    r#"t "$1";if [ -e "$2" ]||[ -L "$2" ];then exit 63;fi;ln "$1" "$2"||p "$2""#;

pub(super) const READ_LINK: &str = r#"t "$1";[ -L "$1" ]||exit 67;readlink "$1"||exit 69"#;

/// Without `-T` a directory in the way would be moved into: it is looked for first.
///
/// Between file systems `mv` copies, under the name that counts and for as long as it takes. That is refused where it can be
/// seen. The directories show it: of files, layered file systems tell the devices below.
pub(super) fn rename(programs: Programs) -> String {
    let device = match programs.stat {
        Stat::Gnu => "stat -L -c %d",
        Stat::Bsd => "stat -L -f %d",
        Stat::Ls => "echo unknown;:",
    };
    let guard = if programs.mv_whole { "" } else { r#"if [ -d "$2" ];then exit 64;fi;"# };
    let whole = mv(programs);
    format!(
        r#"t "$1";if [ -d "$2" ]&&[ ! -L "$2" ]&&[ ! -d "$1" ];then exit 64;fi;{guard}
d=$1;u;e=$d;d=$2;u;if [ -d "$d" ]&&[ "$({device} "$e")" != "$({device} "$d")" ];then exit 71;fi;
{whole} "$1" "$2"||{{
if [ -d "$2" ]&&[ ! -L "$2" ];then exit 63;fi;t "$1";p "$2";}}"#
    )
}

pub(super) fn mv(programs: Programs) -> &'static str {
    if programs.mv_whole { "mv -fT" } else { "mv -f" }
}

/// Says first what it prints: `w`, all of the path; `p`, that of the directory it is in.
pub(super) fn real(programs: Programs) -> String {
    let link = match programs.real_path {
        Some(RealPath::RealPath) => r#"echo w;realpath "$1"||exit 61;exit"#,
        Some(RealPath::ReadLink) => r#"echo w;readlink -f "$1"||exit 61;exit"#,
        None => "exit 67",
    };
    format!(
        r#"if [ -d "$1" ];then cd "$1"||exit 62;echo w;pwd -P;exit;fi;
if [ -L "$1" ];then {link};fi;d=$1;u;[ -d "$d" ]||a "$1";cd "$d"||exit 62;echo p;pwd -P"#
    )
}

/// For each name: a line about it, NUL, the name, NUL.
pub(super) fn list(programs: Programs) -> String {
    let each = match programs.find_printf {
        true => {
            r#"find "$1/." -ignore_readdir_race ! -name . -prune -printf "f%y %m %s %U %G %A@ %T@\0%f\0"||exit 69"#
        }
        false => {
            r#"for i in "$1"/* "$1"/.[!.]* "$1"/..?*;do
if [ -e "$i" ]||[ -L "$i" ];then v=$(s "$i")&&printf "%s\0%s\0" "$v" "${i##*/}";fi;done;exit 0"#
        }
    };
    format!(r#"f "$1";[ -d "$1" ]||exit 65;if [ ! -r "$1" ]||[ ! -x "$1" ];then exit 62;fi;{each}"#)
}

pub(super) const READ: &str =
    r#"f "$1";if [ -d "$1" ];then exit 64;fi;[ -r "$1" ]||exit 62;cat <"$1"||exit 69"#;

/// The length is compared at the end: the end of the input may be that of the connection.
pub(super) const WRITE: &str = r#"if [ -d "$1" ];then exit 64;fi;
cat >"$1"||{ if [ -e "$1" ];then if [ -w "$1" ];then exit 69;fi;exit 62;fi;p "$1";};
if [ -f "$1" ]&&[ "$(n "$1")" != "$2" ];then exit 68;fi"#;

/// A line about the file, its bytes, and the line again on standard error, behind a mark: whether it changed meanwhile.
pub(super) const GET: &str = r#"f "$1";if [ -d "$1" ];then exit 64;fi;[ -f "$1" ]||exit 67;[ -r "$1" ]||exit 62;
s "$1" L||exit 69;cat <"$1"||exit 69;printf "rustle:%s\n" "$(s "$1" L)" >&2"#;

/// As [`GET`], in blocks: each line of the input is how long the next may be. `dd` says how many blocks it has read, whole and
/// partial ones; none is the end (IEEE Std 1003.1, `dd`, STDERR).
pub(super) const GET_PACED: &str = r#"f "$1";if [ -d "$1" ];then exit 64;fi;[ -f "$1" ]||exit 67;[ -r "$1" ]||exit 62;
s "$1" L||exit 69;exec 3<"$1" 4>&1;while read -r n;do
r=$({ dd bs="$n" count=1 <&3 >&4;} 2>&1)||{ printf "%s\n" "$r" >&2;exit 69;};
case $r in 0+0*)break;;esac;done;printf "rustle:%s\n" "$(s "$1" L)" >&2"#;

/// Where the home of the account `$1` is, with `$2` behind it, in place of the parameters. The name has letters, digits and
/// `_ . -` alone, and begins with a letter or `_`: a shell takes other words behind `~` for other things.
pub(super) const HOME_OF: &str = r#"eval "h=~$1";case $h in /*);;*)exit 61;;esac;set -- "$h$2";"#;

/// The SHA-256 of the first bytes of a file; the parameters are the path and their number.
pub(super) fn sha256() -> String {
    format!(r#"f=$1;n=$2;{}"#, crate::transfer::remote_command::SCRIPT)
}

/// The target, the name of the temporary file or nothing, the length, the permissions or nothing, those of a new file before
/// the mask, two times or nothing, and the SHA-256 or nothing.
///
/// `R` is what is replaced, `W` what is written, and `T` what is removed at the end, whatever ends it: it is set first, since a
/// signal may come between any two steps.
pub(super) fn put(programs: Programs) -> String {
    let real = match programs.real_path {
        Some(RealPath::RealPath) => r#"R=$(realpath "$1";echo x)"#,
        Some(RealPath::ReadLink) => r#"R=$(readlink -f "$1";echo x)"#,
        None => "exit 67",
    };
    let (store, store_name) = match programs.sync_file {
        true => (r#"sync "$T"||exit 69;"#, r#"sync "${R%/*}/."||exit 69;"#),
        false => ("", ""),
    };
    let (hash, mv) = (sha256(), mv(programs));
    format!(
        r#"R=$1;u=$(umask);T=;
if [ "$2" ]&&[ -L "$1" ];then {real};R=${{R%x}};R=${{R%?}};[ -e "$R" ]||exit 61;fi;
if [ -d "$R" ];then exit 64;fi;
if [ "$2" ]&&[ -e "$R" ]&&[ ! -f "$R" ];then exit 67;fi;
M=$4;if [ -z "$M" ]&&[ ! -e "$R" ];then M=$(printf "%o" $((0$5&~0$u)));fi;
W=$R;trap '[ -z "$T" ]||rm -f "$T"' 0;trap "exit 69" 1 2 13 15;
if [ "$2" ]||[ ! -e "$R" ];then umask 077;fi;
if [ "$2" ];then W=${{R%/*}}/$2;T=$W;set -C;(:>"$W")||{{ T=;p "$R";}};set +C;fi;
cat >"$W"||{{ if [ -e "$W" ];then if [ -w "$W" ];then exit 69;fi;exit 62;fi;p "$W";}};
if [ -f "$W" ]&&[ "$(n "$W")" != "$3" ];then exit 68;fi;
if [ "$8" ];then case $(set -- "$W" "$3";{hash}) in *"$8"*);;*)exit 70;;esac;fi;
if [ "$M" ];then chmod "$M" "$W"||exit 69;fi;
if [ "$6" ];then (TZ=UTC0;export TZ;touch -c -a -t "$6" "$W"&&touch -c -m -t "$7" "$W")||exit 69;fi;
if [ "$T" ];then {store}{mv} "$T" "$R"||exit 69;T=;{store_name}fi;exit 0"#
    )
}
