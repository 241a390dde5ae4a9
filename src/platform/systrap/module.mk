# The stub's system call wrappers and its signal entry use the stack below the C code's frame.
STUB_CFLAGS += -mno-red-zone
