# Everything that follows from the table of system calls.

SYSCALL_GEN := tools/gen-syscalls.py src/syscall/table.def

GEN_HEADERS += syscall_protos.h syscall_dispatch.inc syscall_strace.inc marshal.h

$(GEN)/syscall_protos.h: $(SYSCALL_GEN)
	$(call generate,$(PYTHON) $< protos src/syscall/table.def)
$(GEN)/syscall_dispatch.inc: $(SYSCALL_GEN)
	$(call generate,$(PYTHON) $< dispatch src/syscall/table.def)
$(GEN)/syscall_strace.inc: $(SYSCALL_GEN)
	$(call generate,$(PYTHON) $< strace src/syscall/table.def)
$(GEN)/marshal.h: $(SYSCALL_GEN)
	$(call generate,$(PYTHON) $< marshal src/syscall/table.def)
docs/syscalls.md: $(SYSCALL_GEN)
	$(call generate,$(PYTHON) $< docs src/syscall/table.def)

all: docs/syscalls.md
