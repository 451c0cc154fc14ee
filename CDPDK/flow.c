// Flows that a device handles by itself: plain headers and actions into rte_flow's items.
//
// A flow that only drops belongs to the port. One that sends to another port belongs to the switch inside the device, so both ports
// must be of one device ("switch domain"), and it is managed by the port that DPDK names for that (the transfer proxy).
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include "internal.h"

_Static_assert(sizeof(struct rte_ipv6_hdr) <= CDPDK_FLOW_HEADER_SIZE, "headers fit");

struct cdpdk_flow {
    struct rte_flow *rule;
    /// Where the rule is: the port itself, or its transfer proxy.
    uint16_t manager;
};

/// Specification and mask of one header, as rte_flow wants them.
union item {
    struct rte_flow_item_eth eth;
    struct rte_flow_item_vlan vlan;
    struct rte_flow_item_ipv4 ipv4;
    struct rte_flow_item_ipv6 ipv6;
    struct rte_flow_item_tcp tcp;
    struct rte_flow_item_udp udp;
    struct rte_flow_item_sctp sctp;
    struct rte_flow_item_icmp icmp;
    struct rte_flow_item_icmp6 icmp6;
};

/// Which item a header is, and how many of its bytes on the wire it begins with; these are the same in memory.
static const struct {
    enum rte_flow_item_type type;
    size_t size;
} kinds[] = {
    [CDPDK_FLOW_ETHERNET] = {RTE_FLOW_ITEM_TYPE_ETH, 14},
    [CDPDK_FLOW_VLAN] = {RTE_FLOW_ITEM_TYPE_VLAN, 4},
    [CDPDK_FLOW_IPV4] = {RTE_FLOW_ITEM_TYPE_IPV4, sizeof(struct rte_ipv4_hdr)},
    [CDPDK_FLOW_IPV6] = {RTE_FLOW_ITEM_TYPE_IPV6, sizeof(struct rte_ipv6_hdr)},
    [CDPDK_FLOW_TCP] = {RTE_FLOW_ITEM_TYPE_TCP, sizeof(struct rte_tcp_hdr)},
    [CDPDK_FLOW_UDP] = {RTE_FLOW_ITEM_TYPE_UDP, sizeof(struct rte_udp_hdr)},
    [CDPDK_FLOW_SCTP] = {RTE_FLOW_ITEM_TYPE_SCTP, sizeof(struct rte_sctp_hdr)},
    [CDPDK_FLOW_ICMP] = {RTE_FLOW_ITEM_TYPE_ICMP, sizeof(struct rte_icmp_hdr)},
    [CDPDK_FLOW_ICMPV6] = {RTE_FLOW_ITEM_TYPE_ICMP6, 4},
};

static void explain(const struct rte_flow_error *failure, int code, char *error, size_t size) {
    cdpdk_reason(error, size, "%s", failure->message != NULL ? failure->message : strerror(code == 0 ? EINVAL : code));
}

bool cdpdk_flow_is_supported(uint16_t port, char *error, size_t error_size) {
    struct rte_flow_attr attributes = {.ingress = 1};
    struct rte_flow_item pattern[] = {{.type = RTE_FLOW_ITEM_TYPE_ETH}, {.type = RTE_FLOW_ITEM_TYPE_END}};
    struct rte_flow_action actions[] = {{.type = RTE_FLOW_ACTION_TYPE_DROP}, {.type = RTE_FLOW_ACTION_TYPE_END}};
    struct rte_flow_error failure;
    memset(&failure, 0, sizeof failure);
    // whatever it thinks of this flow: a driver without flows has no answer at all
    int result = rte_flow_validate(port, &attributes, pattern, actions, &failure);
    if (result != -ENOSYS && result != -ENOTSUP && result != -ENODEV) return true;
    struct rte_eth_dev_info info;
    memset(&info, 0, sizeof info);
    const char *driver = rte_eth_dev_info_get(port, &info) == 0 && info.driver_name != NULL ? info.driver_name : "of the device";
    cdpdk_reason(error, error_size, "the driver %s has no rte_flow", driver);
    return false;
}

/// Whether two ports are of one switch in one device.
static bool are_together(uint16_t one, uint16_t other) {
    struct rte_eth_dev_info a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    if (rte_eth_dev_info_get(one, &a) != 0 || rte_eth_dev_info_get(other, &b) != 0) return false;
    return a.switch_info.domain_id != RTE_ETH_DEV_SWITCH_DOMAIN_ID_INVALID && a.switch_info.domain_id == b.switch_info.domain_id;
}

struct cdpdk_flow *cdpdk_flow_create(
    uint16_t port, const struct cdpdk_flow_header *headers, uint32_t header_count, const struct cdpdk_flow_action *actions,
    uint32_t action_count, char *error, size_t error_size) {
    if (header_count > CDPDK_FLOW_HEADERS || action_count > CDPDK_FLOW_ACTIONS) {
        cdpdk_reason(error, error_size, "more than %d headers or %d actions", CDPDK_FLOW_HEADERS, CDPDK_FLOW_ACTIONS);
        return NULL;
    }
    struct rte_flow_attr attributes = {.ingress = 1};
    // a pushed tag takes three actions
    struct rte_flow_action list[3 * CDPDK_FLOW_ACTIONS + 2];
    struct rte_flow_action_ethdev outputs[CDPDK_FLOW_ACTIONS];
    struct rte_flow_action_set_mac addresses[CDPDK_FLOW_ACTIONS];
    struct rte_flow_action_of_push_vlan tags[CDPDK_FLOW_ACTIONS];
    struct rte_flow_action_of_set_vlan_vid vids[CDPDK_FLOW_ACTIONS];
    struct rte_flow_action_of_set_vlan_pcp priorities[CDPDK_FLOW_ACTIONS];
    struct rte_flow_action_count count = {.id = 0};
    memset(list, 0, sizeof list);
    uint32_t n = 0;
    list[n++] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_COUNT, .conf = &count};
    for (uint32_t i = 0; i < action_count; i++) {
        const struct cdpdk_flow_action *a = &actions[i];
        switch (a->kind) {
        case CDPDK_FLOW_DROP: list[n++] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_DROP}; break;
        case CDPDK_FLOW_OUTPUT:
            if (!are_together(port, a->port)) {
                cdpdk_reason(error, error_size, "the output is not a port of the same device");
                return NULL;
            }
            outputs[i] = (struct rte_flow_action_ethdev){.port_id = a->port};
            list[n++] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT, .conf = &outputs[i]};
            attributes.ingress = 0;
            attributes.transfer = 1;
            break;
        case CDPDK_FLOW_SET_SOURCE:
        case CDPDK_FLOW_SET_DESTINATION:
            memcpy(addresses[i].mac_addr, a->mac, 6);
            list[n++] = (struct rte_flow_action){
                .type = a->kind == CDPDK_FLOW_SET_SOURCE ? RTE_FLOW_ACTION_TYPE_SET_MAC_SRC : RTE_FLOW_ACTION_TYPE_SET_MAC_DST,
                .conf = &addresses[i],
            };
            break;
        case CDPDK_FLOW_PUSH_VLAN:
            tags[i] = (struct rte_flow_action_of_push_vlan){.ethertype = rte_cpu_to_be_16(a->tpid)};
            vids[i] = (struct rte_flow_action_of_set_vlan_vid){.vlan_vid = rte_cpu_to_be_16(a->tci & 0xfff)};
            priorities[i] = (struct rte_flow_action_of_set_vlan_pcp){.vlan_pcp = (uint8_t)(a->tci >> 13)};
            list[n++] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN, .conf = &tags[i]};
            list[n++] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID, .conf = &vids[i]};
            list[n++] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_PCP, .conf = &priorities[i]};
            break;
        case CDPDK_FLOW_POP_VLAN: list[n++] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_OF_POP_VLAN}; break;
        default: cdpdk_reason(error, error_size, "unknown action %u", a->kind); return NULL;
        }
    }
    list[n] = (struct rte_flow_action){.type = RTE_FLOW_ACTION_TYPE_END};

    union item specs[CDPDK_FLOW_HEADERS], masks[CDPDK_FLOW_HEADERS];
    struct rte_flow_item pattern[CDPDK_FLOW_HEADERS + 2];
    struct rte_flow_item_ethdev source = {.port_id = port}, whole = {.port_id = UINT16_MAX};
    memset(specs, 0, sizeof specs);
    memset(masks, 0, sizeof masks);
    memset(pattern, 0, sizeof pattern);
    uint32_t at = 0;
    // a port's own flows see what it receives; in the device's switch it must be said
    if (attributes.transfer)
        pattern[at++] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT, .spec = &source, .mask = &whole};
    for (uint32_t i = 0; i < header_count; i++) {
        const struct cdpdk_flow_header *h = &headers[i];
        if (h->kind >= sizeof kinds / sizeof kinds[0]) {
            cdpdk_reason(error, error_size, "unknown header %u", h->kind);
            return NULL;
        }
        memcpy(&specs[i], h->value, kinds[h->kind].size);
        memcpy(&masks[i], h->mask, kinds[h->kind].size);
        if (h->kind == CDPDK_FLOW_IPV6) masks[i].ipv6.has_frag_ext = 1;
        pattern[at++] = (struct rte_flow_item){.type = kinds[h->kind].type, .spec = &specs[i], .mask = &masks[i]};
    }
    pattern[at] = (struct rte_flow_item){.type = RTE_FLOW_ITEM_TYPE_END};

    struct rte_flow_error failure;
    memset(&failure, 0, sizeof failure);
    uint16_t manager = port;
    if (attributes.transfer && rte_flow_pick_transfer_proxy(port, &manager, &failure) != 0) manager = port;
    struct cdpdk_flow *flow = malloc(sizeof *flow);
    if (flow == NULL) {
        cdpdk_reason(error, error_size, "no memory");
        return NULL;
    }
    memset(&failure, 0, sizeof failure);
    flow->manager = manager;
    flow->rule = rte_flow_create(manager, &attributes, pattern, list, &failure);
    if (flow->rule == NULL) {
        explain(&failure, rte_errno, error, error_size);
        free(flow);
        return NULL;
    }
    return flow;
}

int cdpdk_flow_destroy(struct cdpdk_flow *flow) {
    struct rte_flow_error failure;
    int result = rte_flow_destroy(flow->manager, flow->rule, &failure);
    free(flow);
    return result;
}

int cdpdk_flow_counters(const struct cdpdk_flow *flow, uint64_t *packets, uint64_t *bytes) {
    struct rte_flow_action_count conf = {.id = 0};
    struct rte_flow_action count[] = {{.type = RTE_FLOW_ACTION_TYPE_COUNT, .conf = &conf}, {.type = RTE_FLOW_ACTION_TYPE_END}};
    struct rte_flow_query_count counted;
    memset(&counted, 0, sizeof counted);
    struct rte_flow_error failure;
    if (rte_flow_query(flow->manager, flow->rule, count, &counted, &failure) != 0 || !counted.hits_set) return -1;
    *packets = counted.hits;
    *bytes = counted.bytes_set ? counted.bytes : 0;
    return 0;
}
