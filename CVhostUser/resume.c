// Where a packed ring goes on after this switch, or the one before it, died.
//
// A split ring tells by its used index how far the device came. A packed ring tells nobody: whoever stops a device in order asks it
// (GET_VRING_BASE) and says so to the next one (SET_VRING_BASE). If the device died there was nobody to ask, and front-ends (QEMU) then
// repeat what they said when the ring began. A device that starts there waits for ever at descriptors it has used already, and the
// guest has lost its network.
//
// But the descriptors know. The driver writes each with its wrap counter's inverse as the USED bit, the device then makes that bit its
// own wrap counter. So going round, the device has left behind USED bits of this round, and has before it those of the round
// before: the one step between is its place. This switch uses a buffer in the burst that takes it, so no buffer is under way anywhere.
// Where buffers of several descriptors in a row blur the step, the front-end's word counts.
#include "internal.h"

#include <string.h>
#include <unistd.h>

#define DESCRIPTOR_SIZE 16
#define FLAGS_OFFSET 14
#define FLAG_USED 0x8000u
#define WRAP 0x8000u
/// Where a ring begins: descriptor 0, first round.
#define BEGINNING WRAP
/// Descriptors that a front-end may be ahead of the step: those of one buffer, of which only the first is marked as used.
#define LONGEST_CHAIN 64
/// Descriptors read at once.
#define PORTION 256

/// Reads guest memory through its file: that cannot fault, whatever its owner does to it.
static bool read_memory(const struct knowledge *k, uint64_t user, void *to, size_t size) {
    for (unsigned i = 0; i < k->region_count; i++) {
        const struct region *r = &k->regions[i];
        if (user < r->user || size > r->size || user - r->user > r->size - size) continue;
        uint64_t start = k->files[i].bytes - r->size;
        return k->files[i].fd >= 0 && pread(k->files[i].fd, to, size, (off_t)(start + (user - r->user))) == (ssize_t)size;
    }
    return false;
}

/// The device's place by the descriptors, as SET_VRING_BASE has it. False if they do not tell.
static bool find_place(const struct knowledge *k, uint64_t descriptors, uint32_t size, uint32_t *place) {
    uint8_t portion[PORTION * DESCRIPTOR_SIZE];
    unsigned first = 0, latest = 0;
    uint32_t step = 0;
    for (uint32_t i = 0; i < size; i++) {
        if (i % PORTION == 0) {
            uint32_t count = size - i < PORTION ? size - i : PORTION;
            if (!read_memory(k, descriptors + (uint64_t)i * DESCRIPTOR_SIZE, portion, (size_t)count * DESCRIPTOR_SIZE)) return false;
        }
        uint16_t flags;
        memcpy(&flags, portion + i % PORTION * DESCRIPTOR_SIZE + FLAGS_OFFSET, sizeof flags);
        unsigned used = (flags & FLAG_USED) != 0;
        if (i == 0) first = used;
        else if (used != latest) {
            if (step != 0) return false;
            step = i;
        }
        latest = used;
    }
    // without a step a round is just over: the next one's wrap counter is the other
    *place = step | ((step != 0 ? first : !first) ? WRAP : 0);
    return true;
}

/// Descriptors from the ring's beginning to a place, over the two rounds that can be told apart.
static uint32_t distance(uint32_t place, uint32_t size) { return (place & ~WRAP) + (place & WRAP ? 0 : size); }

void resume_append(struct message *m, struct knowledge *k) {
    uint32_t header[3], state[2];
    memcpy(header, m->bytes, sizeof header);
    memcpy(state, m->bytes + HEADER_SIZE, sizeof state);
    if (header[0] == REQUEST_SET_VRING_BASE) {
        k->base[state[0]] = state[1] & 0xffff;
        k->base_is_new[state[0]] = true;
        return;
    }
    if (header[0] != REQUEST_SET_VRING_ADDR) return;
    uint32_t index = state[0], size = k->ring_size[index], said = k->base[index], place;
    uint64_t descriptors;
    memcpy(&descriptors, m->bytes + HEADER_SIZE + 8, sizeof descriptors);
    // addresses are repeated while a ring runs (migration), and its place is then what the device knows
    bool is_new = k->base_is_new[index];
    k->base_is_new[index] = false;
    if (!is_new || (k->features & FEATURE_PACKED) == 0 || (k->features & (FEATURE_IOMMU | FEATURE_IN_ORDER)) != 0) return;
    if (size == 0 || (said & ~WRAP) >= size || !find_place(k, descriptors, size, &place) || place == said) return;
    uint32_t round = 2 * size, ahead = (distance(said, size) + round - distance(place, size)) % round;
    if (said != BEGINNING && ahead <= LONGEST_CHAIN && ahead < size) return;
    if (m->have + HEADER_SIZE + 8 > sizeof m->bytes) return;
    uint32_t more[5] = {REQUEST_SET_VRING_BASE, 1, 8, index, place | place << 16};
    memcpy(m->bytes + m->have, more, sizeof more);
    m->have += sizeof more;
}
