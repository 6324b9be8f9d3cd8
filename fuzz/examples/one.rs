fn main() {
    let a: Vec<String> = std::env::args().collect();
    let run = sessile_fuzz::TARGETS.iter().find(|t| t.0 == a[1]).unwrap().1;
    run(&std::fs::read(&a[2]).unwrap());
}
