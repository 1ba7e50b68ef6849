/* SPDX-License-Identifier: GPL-2.0-only */
/* pcap_loop FILE: reads a capture through libpcap and does nothing else; what reading costs. */
#include <err.h>
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdio.h>

static void count(unsigned char *arg, const struct pcap_pkthdr *h, const unsigned char *data)
{
	(void)h;
	(void)data;
	++*(uint64_t *)arg;
}

int main(int argc, char **argv)
{
	char why[PCAP_ERRBUF_SIZE];
	uint64_t n = 0;
	pcap_t *p;

	if (argc != 2)
		errx(2, "usage: pcap_loop FILE");
	p = pcap_open_offline(argv[1], why);
	if (!p)
		errx(1, "%s", why);
	pcap_loop(p, -1, count, (unsigned char *)&n);
	pcap_close(p);
	printf("%llu packets\n", (unsigned long long)n);
	return 0;
}
