# Added to CPython's own Makefile: what the guest needs of it, and the lists of what that is.

cloche-core: $(LIBRARY_OBJS_OMIT_FROZEN) Modules/getpath_noop.o $(LIBEXPAT_A) $(LIBMPDEC_A) $(LIBHACL_SHA2_A)
	@echo $(LIBRARY_OBJS_OMIT_FROZEN) > core.list
	@echo $(LIBEXPAT_A) $(LIBMPDEC_A) $(LIBHACL_SHA2_A) > archives.list

PROFILE = $(PROFILE_FLAGS)
# The interpreter's loop is one function: laid out by how often each instruction occurs, it is slower in WebAssembly.
Python/ceval.o: PROFILE =
# What calls itself for each level of a program's tree keeps its small frames: with more inlined, the deepest tree that the
# recursion limit allows does not fit the host's stack.
Python/Python-ast.o Python/ast.o Python/ast_opt.o Python/compile.o Python/symtable.o: PROFILE =
# Rare beside the loops of the training, parser and compiler would be compiled for size; most runs are short, and wait for them.
Python/assemble.o Python/flowgraph.o Python/instruction_sequence.o Python/pythonrun.o $(PEGEN_OBJS) $(TOKENIZER_OBJS): PROFILE =

cloche-frozen: Modules/getpath.o Python/frozen.o

# Inlined into each other, the bytecode compiler's functions take 2,100 bytes of stack for each level of a program, not 550.
Python/compile.o: CFLAGS_NODIST += -fno-inline
