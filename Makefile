# `make demo` shows the whole pipeline; `make test` proves it. Both fetch what they need into .wikitok/.

.PHONY: demo test test-shapes build fetch clean

demo: build fetch
	tools/demo

test:
	tools/test

# Dumps of the shape of the largest there are, in tiny: minutes.
test-shapes:
	tools/test --run-ignored only history

build:
	cargo build --release --locked --bins

fetch:
	tools/fetch

clean:
	cargo clean
	rm -rf .wikitok
