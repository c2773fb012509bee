# Where it is set, each of many short processes would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: demo test check bench setup clean

demo: ; @scripts/setup && .venv/bin/headway demo
test: ; @scripts/test
check: ; @scripts/check
bench: ; @scripts/bench
setup: ; @scripts/setup
clean: ; rm -rf .venv .tools .headway
