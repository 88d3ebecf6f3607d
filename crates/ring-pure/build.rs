fn main() { println!("cargo::metadata=backend=pure"); }
