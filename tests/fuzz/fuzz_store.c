/* SPDX-License-Identifier: GPL-2.0-only */
/* What the store reads back: a file of packets, or the JSON of an incident. */
#include "fuzz.h"

#include <string.h>

#include "incident/kept.h"
#include "incident/state.h"

static void read_packets(const uint8_t *data, size_t size)
{
	struct kept_packet *packets = NULL;
	char path[FUZZ_PATH];
	int fd = fuzz_file(data, size, path);
	size_t n = 0;

	kept_read(path, &packets, &n);
	for (size_t i = 1; i < n; i++)
		if (packets[i].packet.captured > sizeof(packets[i].packet.data))
			abort();
	free(packets);
	close(fd);
}

static void read_incident(const uint8_t *data, size_t size)
{
	static struct incident_state state;
	json_t *object = json_loadb((const char *)data, size, 0, NULL), *again;

	if (object && !state_read(object, &state)) {
		again = state_write(&state.incident);
		if (!again)
			abort();
		json_decref(again);
	}
	json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size && data[0] == '{')
		read_incident(data, size);
	else
		read_packets(data, size);
	return 0;
}
