"""The machine: one live guest under Wasmtime, its imports, its ends, and the image it is made of."""
