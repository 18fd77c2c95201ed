# Added to CPython's own Makefile: what the guest needs of it, and the lists of what that is.

cloche-core: $(LIBRARY_OBJS_OMIT_FROZEN) Modules/getpath_noop.o $(LIBEXPAT_A) $(LIBMPDEC_A) $(LIBHACL_SHA2_A)
	@echo $(LIBRARY_OBJS_OMIT_FROZEN) > core.list
	@echo $(LIBEXPAT_A) $(LIBMPDEC_A) $(LIBHACL_SHA2_A) > archives.list

cloche-frozen: Modules/getpath.o Python/frozen.o

# Inlined into each other, the bytecode compiler's functions take 2,100 bytes of stack for each level of a program, not 550.
Python/compile.o: CFLAGS_NODIST += -fno-inline
