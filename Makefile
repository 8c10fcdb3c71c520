# `make demo` shows the whole pipeline; `make test` proves it. Both fetch what they need into .wikitok/.

.PHONY: demo test build fetch clean

demo: build fetch
	tools/demo

test:
	tools/test

build:
	cargo build --release --locked --bins

fetch:
	tools/fetch

clean:
	cargo clean
	rm -rf .wikitok
