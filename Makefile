# `make demo` shows the whole pipeline; `make test` proves it, `make bench` says how fast it is.
# All fetch what they need into .wikitok/.

.PHONY: demo test test-shapes chaos bench build fetch clean

demo: build fetch
	tools/demo

test:
	tools/test

bench:
	tools/bench

# Dumps of the shape of the largest there are, in tiny: minutes.
test-shapes:
	tools/test --run-ignored only -E 'test(/^history::/)'

# Everything goes wrong, at length: a hundred kills, every commit point, minutes without a server, 10,000 shards. Twenty minutes.
chaos:
	tools/test --run-ignored all -E 'test(chaos) + test(reset) + test(versions)'

build:
	cargo build --release --locked --bins

fetch:
	tools/fetch

clean:
	cargo clean
	rm -rf .wikitok
