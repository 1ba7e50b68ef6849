/* SPDX-License-Identifier: GPL-2.0-only */
#include "base/list.h"

#include <string.h>

#define BLANK " \t"

bool list_next(const char **list, const char **ret_word, size_t *ret_len)
{
	const char *word = *list + strspn(*list, "," BLANK);
	size_t len = strcspn(word, ",");

	*list = word + len;
	while (len && strchr(BLANK, word[len - 1]))
		len--;
	if (!len)
		return false;
	*ret_word = word;
	*ret_len = len;
	return true;
}
