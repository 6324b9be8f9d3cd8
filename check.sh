#!/usr/bin/env bash
# Passes every check of the project; CI runs this and nothing else.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s (after %s s)\n' "$*" "$SECONDS"; }

# A fresh machine builds everything once: nothing is kept for a next build, and little for a debugger.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=line-tables-only

say 'toolchain'
for component in rustfmt clippy; do
    cargo "${component/rustfmt/fmt}" --version >/dev/null 2>&1 ||
        { echo "missing: install it with 'rustup component add $component'"; exit 1; }
done
for target in thumbv7em-none-eabihf wasm32-unknown-unknown; do
    [ -d "$(rustc --print sysroot)/lib/rustlib/$target" ] || rustup target add "$target" ||
        { echo "missing: install it with 'rustup target add $target'"; exit 1; }
done
has() { command -v "$1" >/dev/null; }
packages=
has redis-server || packages+=' redis-server'
has chromium || has google-chrome || packages+=' chromium'
has chromedriver || packages+=' chromium-driver'
if [ -n "$packages" ]; then
    # shellcheck disable=SC2086 # one word each
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q $packages; } ||
        { echo "missing: install them (Debian: apt-get install$packages)"; exit 1; }
fi

say 'format'
cargo fmt --all --check
if git grep -nP '[^\x00-\x7F]' -- '*.rs' '*.sh' '*.toml' '*.md'; then
    echo 'the lines above are not ASCII'
    exit 1
fi

say 'clippy'
cargo clippy --quiet --workspace --all-targets -- -D warnings
cargo clippy --quiet --workspace --all-targets --all-features -- -D warnings
cargo clippy --quiet -p sessile -p sessile-core -p sessile-web --lib --no-default-features -- -D warnings

say 'core without an operating system'
for target in thumbv7em-none-eabihf wasm32-unknown-unknown; do
    cargo build --quiet -p sessile-core --all-features --target "$target"
done
cargo build --quiet -p sessile --no-default-features --features memory,web \
    --target wasm32-unknown-unknown

if cargo deny --version >/dev/null 2>&1; then
    say 'dependencies'
    cargo deny --offline check licenses bans sources
fi

say 'documentation'
RUSTDOCFLAGS='-D warnings' cargo doc --quiet --workspace --all-features --no-deps

say 'tests'
cargo test --workspace --all-features --exclude sessile-sim

say 'simulation'
cargo test --release -p sessile-sim -- --nocapture

say 'schedules of threads'
RUSTFLAGS='--cfg shuttle' cargo test --release --target-dir target/shuttle \
    -p sessile-store-memory -p sessile-web --test memory --test web

say 'what a request costs'
cargo test --quiet --release -p sessile-benches -- --nocapture
cargo bench --quiet -p sessile-benches --benches -- --test

say 'examples run'
cargo run --quiet --example sans_io
cargo run --quiet --example session_server -- --race

say 'all checks passed'
