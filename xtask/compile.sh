#!/bin/sh
# Compiles what goes into images for the platform that TARGETARCH and TARGETVARIANT name, and places it in the directory
# that is given. PROGRAMS are those that are compiled, with spaces between them, or else all. The Dockerfile's own way:
# `cargo xtask images` does the same, and gets the same bytes.
set -eu
case "$TARGETARCH${TARGETVARIANT:-}" in
    amd64) target=x86_64-unknown-linux-musl ;;
    arm64 | arm64v8) target=aarch64-unknown-linux-musl ;;
    386) target=i686-unknown-linux-musl ;;
    armv7) target=armv7-unknown-linux-musleabihf ;;
    riscv64) target=riscv64gc-unknown-linux-musl ;;
    *) echo "compile.sh: no target for $TARGETARCH${TARGETVARIANT:-}" >&2; exit 64 ;;
esac
[ -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ] || rustup target add "$target"
# No path of the machine gets into a binary.
home=${CARGO_HOME:-$HOME/.cargo}
flags="'--remap-path-prefix=$PWD=/swarmlings', '--remap-path-prefix=$PWD/target=/target', '--remap-path-prefix=$home=/cargo'"
all=
for directory in services/* sidecar/* load; do
    [ -f "$directory/src/main.rs" ] || continue
    while read -r key _ value; do
        [ "$key" = name ] && break
    done <"$directory/Cargo.toml"
    name=${value#\"}
    all="$all ${name%\"}"
done
for name in ${PROGRAMS:-}; do
    case "$all " in
    *" $name "*) ;;
    *) echo "compile.sh: PROGRAMS names $name, and there are$all" >&2; exit 64 ;;
    esac
done
# One by one: built together, all would get what one of them asks of a crate that they share.
for name in ${PROGRAMS:-$all}; do
    cargo auditable build --release --locked --target "$target" --package "$name" \
        --config "$PWD/.cargo/images.toml" --config "target.$target.rustflags = [$flags]"
done
mkdir -p "$1"
for file in "target/$target/release"/*; do
    if [ -f "$file" ] && [ -x "$file" ]; then cp "$file" "$1/"; fi
done
