//! A dependant that forgot the patch lines: this must not compile, and the compiler's output must say which lines.

fn main() {
    println!("{}", rustle_session::crypto_backend());
}
