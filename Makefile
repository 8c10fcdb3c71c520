# `make demo` shows the whole pipeline; `make test` proves it. Both fetch what they need into .wikitok/.

.PHONY: demo test bench-embed build fetch clean

demo: build fetch
	tools/demo

test:
	tools/test

bench-embed: fetch
	tests/bench/embed

build:
	cargo build --release --locked --bins

fetch:
	tools/fetch

clean:
	cargo clean
	rm -rf .wikitok
