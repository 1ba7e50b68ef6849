/* SPDX-License-Identifier: GPL-2.0-only */
/* What is generated from the table of the daemon's keys: docs sample, docs man. */
#include <stdio.h>
#include <string.h>

#include "config/config.h"

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "sample"))
		config_print_sample(stdout);
	else if (argc == 2 && !strcmp(argv[1], "man"))
		config_print_man(stdout);
	else
		return 2;
	return fflush(stdout) ? 1 : 0;
}
