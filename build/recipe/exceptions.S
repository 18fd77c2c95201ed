# The tag of C++'s exceptions. The compiler refers to it, and its own run time, which has it, is not there for this target.
.tagtype __cpp_exception i32
.globl __cpp_exception
__cpp_exception:
