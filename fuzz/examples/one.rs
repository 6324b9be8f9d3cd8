fn main() {
    let a: Vec<String> = std::env::args().collect();
    for c in sessile_fuzz::corpus::cases(&a[1]).unwrap() {
        eprintln!("{}", c.origin);
        let run = sessile_fuzz::TARGETS.iter().find(|t| t.0 == a[1]).unwrap().1;
        let _ = std::panic::catch_unwind(|| run(&c.bytes));
    }
}
