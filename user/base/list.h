/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TCPSTALL_BASE_LIST_H
#define TCPSTALL_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The next word of what a user separated by commas, without blanks around it; *list moves on behind
 * it. Between two commas without a word there is none. false: there are no more.
 */
bool list_next(const char **list, const char **ret_word, size_t *ret_len);

#endif
