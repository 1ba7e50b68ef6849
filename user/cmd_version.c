/* SPDX-License-Identifier: GPL-2.0-only */
/* What is running: the first thing that a bug report needs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include <bpf/libbpf.h>
#include <elfutils/version.h>
#include <jansson.h>
#include <zlib.h>
#ifdef HAVE_SQLITE
#include <sqlite3.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif
#ifdef HAVE_CURL
#include <curl/curl.h>
#endif
#ifdef HAVE_MICROHTTPD
#include <microhttpd.h>
#endif

#include "verb.h"
#include "version.h"

#define DIGITS(a) #a
#define NUMBER(a) DIGITS(a)

/* <pcap/pcap.h> and libbpf.h both define struct bpf_insn. */
extern const char *pcap_lib_version(void);

/* "libpcap version 1.10.3 (with TPACKET_V3)" */
static const char *pcap_version(char *buf, size_t len)
{
	const char *text = pcap_lib_version(), *number = strpbrk(text, "0123456789");

	snprintf(buf, len, "%.*s", number ? (int)strcspn(number, " ") : 0, number ? number : "");
	return buf;
}

int cmd_version(const struct options *options, int argc, char **argv)
{
	char pcap[32], bpf[16];
	/* Some do not tell at run time: what we were built against. */
	const struct {
		const char *name, *version;
	} library[] = {
		{"libbpf", bpf},
		{"libelf", "0." NUMBER(_ELFUTILS_VERSION)},
		{"zlib", zlibVersion()},
		{"libpcap", pcap_version(pcap, sizeof(pcap))},
		{"libmnl", LIBMNL_VERSION},
		{"jansson", jansson_version_str()},
#ifdef HAVE_SQLITE
		{"sqlite", sqlite3_libversion()},
#endif
#ifdef HAVE_ZSTD
		{"libzstd", ZSTD_versionString()},
#endif
#ifdef HAVE_INIH
		{"libinih", INIH_VERSION},
#endif
#ifdef HAVE_CURL
		{"libcurl", curl_version_info(CURLVERSION_NOW)->version},
#endif
#ifdef HAVE_MICROHTTPD
		{"libmicrohttpd", MHD_get_version()},
#endif
#ifdef HAVE_SYSTEMD
		{"libsystemd", SYSTEMD_VERSION},
#endif
	};
	const int n = sizeof(library) / sizeof(library[0]);
	struct utsname kernel = {0};
	int err = 0;

	(void)argc;
	(void)argv;
	snprintf(bpf, sizeof(bpf), "%u.%u", libbpf_major_version(), libbpf_minor_version());
	uname(&kernel);

	if (options->json) {
		json_t *libraries = json_object(), *out;

		for (int i = 0; i < n; i++)
			json_object_set_new(libraries, library[i].name,
					    json_string(library[i].version));
		out = json_pack("{s:i, s:s, s:s, s:s, s:s, s:o}", "v", 1, "type", "version",
				"version", TCPSTALL_VERSION, "kernel", kernel.release, "machine",
				kernel.machine, "libraries", libraries);
		err = out ? json_dumpf(out, stdout, JSON_COMPACT) : -1;
		json_decref(out);
		putchar('\n');
	} else {
		printf("tcpstall %s\nkernel %s %s\n", TCPSTALL_VERSION, kernel.release,
		       kernel.machine);
		for (int i = 0; i < n; i++)
			printf("%s %s\n", library[i].name, library[i].version);
	}
	return err || fflush(stdout) ? STATUS_ERROR : STATUS_DONE;
}
