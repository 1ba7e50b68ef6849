/* SPDX-License-Identifier: GPL-2.0-only */
#include "incident/pcap.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/newfile.h"

#define MAGIC_NANOSECONDS 0xa1b23c4du /* in our byte order, which it tells */

struct pcap_file {
	struct newfile *file;
};

int pcap_file_create(const char *path, bool force, int linktype, uint32_t snaplen,
		     struct pcap_file **ret)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t zone, accuracy, snaplen, linktype;
	} head = {MAGIC_NANOSECONDS, 2, 4, 0, 0, snaplen, (uint32_t)linktype};
	struct pcap_file *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	err = newfile_open(path, force, &p->file);
	if (err) {
		free(p);
		return err;
	}
	fwrite(&head, sizeof(head), 1, newfile_stream(p->file));
	*ret = p;
	return 0;
}

void pcap_file_free(struct pcap_file *p)
{
	if (!p)
		return;
	newfile_free(p->file);
	free(p);
}

int pcap_file_packet(struct pcap_file *p, int64_t time_ns, const uint8_t *data, uint32_t captured,
		     uint32_t length)
{
	const uint64_t ns = time_ns < 0 ? 0 : (uint64_t)time_ns;
	const uint32_t head[] = {(uint32_t)(ns / NS_PER_S), (uint32_t)(ns % NS_PER_S), captured,
				 length};
	FILE *out = newfile_stream(p->file);

	fwrite(head, sizeof(head), 1, out);
	fwrite(data, 1, captured, out);
	return newfile_error(p->file);
}

int pcap_file_finish(struct pcap_file *p)
{
	return newfile_commit(p->file);
}
