# The tags of C++'s exceptions and of longjmp. The compiler refers to them, and its own run time, which has them, is not
# there for this target.
.tagtype __cpp_exception i32
.globl __cpp_exception
__cpp_exception:
.tagtype __c_longjmp i32
.globl __c_longjmp
__c_longjmp:
