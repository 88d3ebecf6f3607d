//! A dependant that put the patch lines into its manifest: nothing in it is compiled from C.

fn main() {
    println!("{}", rustle_session::crypto_backend());
}
