#!/bin/sh
# Usage: compile.sh DIRECTORY
#
# Compiles the programs for the platform in TARGETARCH and TARGETVARIANT, and copies them to DIRECTORY. PROGRAMS, a list
# separated by spaces, restricts it to some of them. The Dockerfile runs it; `cargo xtask images` produces the same bytes.
set -eu
case "$TARGETARCH${TARGETVARIANT:-}" in
    amd64) target=x86_64-unknown-linux-musl ;;
    arm64 | arm64v8) target=aarch64-unknown-linux-musl ;;
    386) target=i686-unknown-linux-musl ;;
    armv7) target=armv7-unknown-linux-musleabihf ;;
    riscv64) target=riscv64gc-unknown-linux-musl ;;
    *) echo "compile.sh: no Rust target for platform $TARGETARCH${TARGETVARIANT:-}" >&2; exit 64 ;;
esac
[ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || rustup target add "$target"
# Keeps the paths of this machine out of the programs.
home=${CARGO_HOME:-$HOME/.cargo}
flags="'--remap-path-prefix=$PWD=/swarmlings', '--remap-path-prefix=$PWD/target=/target', '--remap-path-prefix=$home=/cargo'"
# No package is selected, so that a program has the same bytes whether it is built alone or with the others.
bins=--bins
[ -z "${PROGRAMS:-}" ] || bins=$(printf -- '--bin %s ' $PROGRAMS)
cargo auditable build --release --locked --target "$target" $bins \
    --config "$PWD/.cargo/images.toml" --config "target.$target.rustflags = [$flags]"
mkdir -p "$1"
for file in "target/$target/release"/*; do
    if [ -f "$file" ] && [ -x "$file" ]; then cp "$file" "$1/"; fi
done
