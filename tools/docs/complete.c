/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Completion for bash, zsh and fish. What may follow an option or a verb is told by the name that
 * help gives it: FILE and DIR are the shell's own matter, the words for the others are printed by a
 * shell function that all three have, __tcpstall_words NAME.
 */
#include <ctype.h>
#include <string.h>

#include "docs.h"
#include "engine/cause.h"
#include "verb.h"

/* Commands that mean the same in all three shells; NULL: the list is in a table of ours. */
static const struct {
	const char *value, *command;
} sources[] = {
	{"VERB", NULL},
	{"CAUSE", NULL},
	{"ID", "tcpstall incidents -q 2>/dev/null | sed '1d;s/ .*//'"},
	{"SINK", "tcpstall daemon --print-config 2>/dev/null | sed -n 's/^.sink \\(.*\\).$/\\1/p'"},
	{"IFACE[,IFACE]", "ls /sys/class/net"},
	{"NAME|PATH|PID", "ls /run/netns 2>/dev/null"},
	{"PID", "ps -e -o pid="},
	{"FILTER", "printf '%s\\n' host net port src dst tcp ip ip6 not and or"},
	{"ebpf|pcap", "printf '%s\\n' ebpf pcap"},
};
#define N_SOURCES ((int)(sizeof(sources) / sizeof(sources[0])))

/* What the operands of a verb are, by the first of these that their description holds. */
static const char *const operands[] = {"CMD", "FILE", "ID", "SINK", "HOST", "FILTER", "VERB"};
#define N_OPERANDS ((int)(sizeof(operands) / sizeof(operands[0])))

static const char *operand_of(const struct verb *v)
{
	for (int i = 0; i < N_OPERANDS; i++)
		if (strstr(v->operands, operands[i]))
			return operands[i];
	return "";
}

static bool is_source(const char *value)
{
	for (int i = 0; i < N_SOURCES; i++)
		if (!strcmp(sources[i].value, value))
			return true;
	return false;
}

/* An incident of a capture is not in the store. */
static bool is_listed(const struct option_info *info)
{
	return info->value && strcmp(info->value, "ID") && is_source(info->value);
}

static bool takes(const struct verb *v, int option)
{
	return (v->options | OPTION(HELP)) & 1ull << option;
}

static void print_command(FILE *to, int source)
{
	if (sources[source].command) {
		fputs(sources[source].command, to);
		return;
	}
	fputs("printf '%s\\n'", to);
	if (!strcmp(sources[source].value, "VERB"))
		for (int i = 0; i < n_verbs; i++)
			fprintf(to, " %s", verb_table[i].name);
	else
		for (int i = 0; i < CAUSES; i++)
			fprintf(to, " %s", cause_info((enum cause)i)->id);
}

/* bash and zsh read the same. */
static void words_function(FILE *to)
{
	fputs("__tcpstall_words() {\n    case $1 in\n", to);
	for (int i = 0; i < N_SOURCES; i++) {
		fprintf(to, "    '%s') ", sources[i].value);
		print_command(to, i);
		fputs(" ;;\n", to);
	}
	fputs("    esac\n}\n\n", to);
}

static void head(FILE *to, const char *first)
{
	fprintf(to, "%s# SPDX-License-Identifier: GPL-2.0-only\n# Made by tools/docs.\n\n", first);
}

static void bash_value(FILE *to, const struct option_info *info)
{
	fprintf(to, "    --%s", info->name);
	if (info->letter)
		fprintf(to, " | -%c", info->letter);
	fputs(") ", to);
	if (!strcmp(info->value, "FILE"))
		fputs("compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\"))", to);
	else if (!strcmp(info->value, "DIR"))
		fputs("compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\"))", to);
	else if (is_listed(info))
		fprintf(to, "COMPREPLY=($(compgen -W \"$(__tcpstall_words '%s')\" -- \"$cur\"))",
			info->value);
	else
		fputs("COMPREPLY=()", to);
	fputs("; return ;;\n", to);
}

static void bash_verb(FILE *to, const struct verb *v)
{
	const char *operand = operand_of(v);

	fprintf(to, "    %s)\n        options='", v->name);
	for (int i = 0; i < OPTIONS; i++)
		if (takes(v, i))
			fprintf(to, "%s--%s", i ? " " : "", option_table[i].name);
	fputs("'\n", to);
	if (!strcmp(operand, "FILE"))
		fputs("        kind='file'\n", to);
	else if (!strcmp(operand, "HOST"))
		fputs("        kind='hostname'\n", to);
	else if (!strcmp(operand, "CMD"))
		fputs("        kind='command'\n", to);
	else if (is_source(operand))
		fprintf(to, "        words=$(__tcpstall_words %s)\n", operand);
	fputs("        ;;\n", to);
}

void docs_bash(FILE *to)
{
	head(to, "# shellcheck shell=bash disable=SC2207\n");
	words_function(to);
	fputs("_tcpstall() {\n"
	      "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
	      "    local verb=watch options='' words='' kind='' i\n\n"
	      "    if [[ $COMP_CWORD -gt 1 && \" $(__tcpstall_words VERB | tr '\\n' ' ') \" == "
	      "*\" ${COMP_WORDS[1]} \"* ]]; then\n"
	      "        verb=${COMP_WORDS[1]}\n"
	      "    fi\n"
	      "    case $prev in\n",
	      to);
	for (int i = 0; i < OPTIONS; i++)
		if (option_table[i].value)
			bash_value(to, &option_table[i]);
	fputs("    esac\n"
	      "    if [[ $verb == run ]] && declare -F _command_offset >/dev/null; then\n"
	      "        for ((i = 2; i < COMP_CWORD; i++)); do\n"
	      "            if [[ ${COMP_WORDS[i]} == -- ]]; then\n"
	      "                _command_offset $((i + 1))\n"
	      "                return\n"
	      "            fi\n"
	      "        done\n"
	      "    fi\n"
	      "    case $verb in\n",
	      to);
	for (int i = 0; i < n_verbs; i++)
		bash_verb(to, &verb_table[i]);
	fputs("    esac\n"
	      "    if [[ $COMP_CWORD -eq 1 ]]; then\n"
	      "        words=\"$(__tcpstall_words VERB) $words\"\n"
	      "    fi\n"
	      "    if [[ $cur == -* ]]; then\n"
	      "        words=$options kind=''\n"
	      "    fi\n"
	      "    COMPREPLY=($(compgen ${kind:+-A \"$kind\"} -W \"$words\" -- \"$cur\"))\n"
	      "    if [[ $kind == file ]]; then\n"
	      "        compopt -o filenames\n"
	      "    fi\n"
	      "}\n"
	      "complete -F _tcpstall tcpstall\n",
	      to);
}

/* In single quotes of the shell; for zsh what means something to _arguments as well. */
static void quoted(FILE *to, const char *text, const char *special)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs("'\\''", to);
		else
			fprintf(to, "%s%c", strchr(special, *text) ? "\\" : "", *text);
	}
}

static void zsh_action(FILE *to, const char *value)
{
	if (!strcmp(value, "FILE"))
		fputs("_files", to);
	else if (!strcmp(value, "DIR"))
		fputs("_files -/", to);
	else if (!strcmp(value, "HOST"))
		fputs("_hosts", to);
	else if (is_source(value))
		fprintf(to, "{compadd -- $(__tcpstall_words \"%s\")}", value);
	else
		putc(' ', to);
}

static void zsh_option(FILE *to, const struct option_info *info)
{
	if (info->letter)
		fprintf(to, " \\\n            '(-%c --%s)'{-%c,--%s}'[", info->letter, info->name,
			info->letter, info->name);
	else
		fprintf(to, " \\\n            '--%s[", info->name);
	quoted(to, info->help, "[]:\\");
	putc(']', to);
	if (info->value) {
		putc(':', to);
		quoted(to, info->value, ":\\");
		putc(':', to);
		zsh_action(to, strcmp(info->value, "ID") ? info->value : "");
	}
	putc('\'', to);
}

static void zsh_verb(FILE *to, const struct verb *v)
{
	const char *operand = operand_of(v);

	fprintf(to, "    %s)\n        _arguments -s -S :", v->name);
	for (int i = 0; i < OPTIONS; i++)
		if (takes(v, i))
			zsh_option(to, &option_table[i]);
	if (v->command_follows)
		fputs(" \\\n            '(-)1:command:_command_names -e' '*::argument:_normal'",
		      to);
	else if (*operand) {
		fprintf(to, " \\\n            '*:%s:", operand);
		zsh_action(to, operand);
		putc('\'', to);
	}
	fputs(" ;;\n", to);
}

void docs_zsh(FILE *to)
{
	head(to, "#compdef tcpstall\n");
	words_function(to);
	fputs("_tcpstall() {\n    local verb=watch\n    local -a verbs=(\n", to);
	for (int i = 0; i < n_verbs; i++) {
		fprintf(to, "        '%s:", verb_table[i].name);
		quoted(to, verb_table[i].summary, "");
		fputs("'\n", to);
	}
	fputs("    )\n\n"
	      "    if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then\n"
	      "        _describe verb verbs\n"
	      "        return\n"
	      "    fi\n"
	      "    if (($verbs[(I)$words[2]:*])); then\n"
	      "        verb=$words[2]\n"
	      "        shift words\n"
	      "        ((CURRENT--))\n"
	      "    fi\n"
	      "    case $verb in\n",
	      to);
	for (int i = 0; i < n_verbs; i++)
		zsh_verb(to, &verb_table[i]);
	fputs("    esac\n}\n\n_tcpstall \"$@\"\n", to);
}

/* A line is for the verbs that take the option; without a verb it is watch. */
static void fish_option(FILE *to, int option)
{
	const struct option_info *info = &option_table[option];
	const bool of_watch = takes(verb_find("watch"), option);
	bool any = false;

	fputs("complete -c tcpstall", to);
	for (int i = 0; i < n_verbs; i++) {
		if (takes(&verb_table[i], option) == of_watch)
			continue;
		fprintf(to, "%s %s",
			any	   ? ""
			: of_watch ? " -n 'not __fish_seen_subcommand_from"
				   : " -n '__fish_seen_subcommand_from",
			verb_table[i].name);
		any = true;
	}
	fprintf(to, "%s -l %s", any ? "'" : "", info->name);
	if (info->letter)
		fprintf(to, " -s %c", info->letter);
	if (info->value && !strcmp(info->value, "FILE"))
		fputs(" -rF", to);
	else if (info->value && !strcmp(info->value, "DIR"))
		fputs(" -xa '(__fish_complete_directories)'", to);
	else if (is_listed(info))
		fprintf(to, " -xa '(__tcpstall_words \"%s\")'", info->value);
	else if (info->value)
		fputs(" -x", to);
	fputs(" -d '", to);
	quoted(to, info->help, "");
	fputs("'\n", to);
}

static void fish_verb(FILE *to, const struct verb *v)
{
	const char *operand = operand_of(v);

	fprintf(to, "complete -c tcpstall -n __fish_use_subcommand -a %s -d '", v->name);
	quoted(to, v->summary, "");
	fputs("'\n", to);
	if (!*operand || !strcmp(operand, "FILTER"))
		return;
	fprintf(to, "complete -c tcpstall -n '__fish_seen_subcommand_from %s' ", v->name);
	if (!strcmp(operand, "FILE"))
		fputs("-F\n", to);
	else if (!strcmp(operand, "CMD"))
		fputs("-a '(__fish_complete_subcommand)'\n", to);
	else if (!strcmp(operand, "HOST"))
		fputs("-a '(__fish_print_hostnames)'\n", to);
	else
		fprintf(to, "-a '(__tcpstall_words %s)'\n", operand);
}

void docs_fish(FILE *to)
{
	head(to, "");
	fputs("function __tcpstall_words\n    switch $argv[1]\n", to);
	for (int i = 0; i < N_SOURCES; i++) {
		fprintf(to, "        case '%s'\n            ", sources[i].value);
		print_command(to, i);
		putc('\n', to);
	}
	fputs("    end\nend\n\ncomplete -c tcpstall -f\n", to);
	for (int i = 0; i < n_verbs; i++)
		fish_verb(to, &verb_table[i]);
	for (int i = 0; i < OPTIONS; i++)
		fish_option(to, i);
}
