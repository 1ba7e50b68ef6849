/* SPDX-License-Identifier: GPL-2.0-only */
/* What is generated from the program's tables: docs WHAT. */
#include <string.h>

#include "config/config.h"
#include "docs.h"

static const struct {
	const char *name;
	void (*write)(FILE *to);
} pages[] = {
	{"tcpstall.8", docs_tcpstall},
	{"tcpstall.conf.5", docs_conf},
	{"tcpstall-events.5", docs_events},
	{"keys", docs_keys},
	{"tcpstall.conf", config_print_sample},
	{"tcpstall.bash", docs_bash},
	{"_tcpstall", docs_zsh},
	{"tcpstall.fish", docs_fish},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (strcmp(argv[1], pages[i].name))
			continue;
		pages[i].write(stdout);
		return fflush(stdout) ? 1 : 0;
	}
	return 2;
}
