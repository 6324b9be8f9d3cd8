#!/usr/bin/env bash
# Fuzzes: fuzz/run.sh [SECONDS-PER-TARGET [TARGET...]], 60 seconds and all targets by default.
# Prints for each target how often it ran, what coverage grew from and to, and what was found.
# What a run learns is kept in the target directory and is where the next one starts.
# SANITIZER=address also watches the memory of dependencies, at a third of the speed.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(token header snapshot delta value fold session collection)
work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/fuzz

cargo +nightly --version >/dev/null 2>&1 ||
    { echo "missing: install nightly with 'rustup toolchain install nightly --profile minimal'"; exit 1; }
cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz ||
    { echo "missing: install it with 'cargo install --locked cargo-fuzz', which needs a C++ compiler"; exit 1; }

cp Cargo.lock fuzz/targets/Cargo.lock
cargo +nightly fuzz build --fuzz-dir fuzz/targets --target-dir "$work/build" \
    --sanitizer "${SANITIZER:-none}"
bin=$work/build/$(rustc +nightly -vV | sed -n 's/^host: //p')/release
cargo run --quiet -p sessile-fuzz --example seeds -- "$work/seeds"

# Runs one target; libFuzzer ends with an error if it found something.
fuzz() {
    mkdir -p "$work/corpus/$1" "$work/findings/$1"
    local len=4096
    # The longest program is no longer than this.
    case $1 in session | collection) len=600 ;; fold) len=2000 ;; esac
    "$bin/$1" "$work/corpus/$1" "$work/seeds/$1" -max_total_time="$2" -max_len=$len -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$work/findings/$1/" \
        >"$work/$1.log" 2>&1
}

if fuzz canary 60; then
    echo 'the canary was not found: this harness finds nothing'
    exit 1
fi
rm -r "$work/findings/canary"
echo 'canary: found, as it should be'

found=0
for target in "${targets[@]}"; do
    verdict='nothing found'
    fuzz "$target" "$seconds" || { verdict="FOUND, see $work/$target.log"; found=1; }
    growth=$(sed -nE 's/^#[0-9]+\s+\w+ +cov: ([0-9]+) ft: ([0-9]+).*/\1 \2/p' "$work/$target.log")
    read -r cov_before ft_before < <(head -1 <<<"$growth") || true
    read -r cov_after ft_after < <(tail -1 <<<"$growth") || true
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log")
    printf '%-9s %10s runs, edges %s -> %s, features %s -> %s, 3/n = %.1e, %s\n' "$target" \
        "${runs:-0}" "$cov_before" "$cov_after" "$ft_before" "$ft_after" \
        "$(awk "BEGIN { print 3 / (${runs:-0} + 1) }")" "$verdict"
done
exit $found
