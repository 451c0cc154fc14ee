// What only real NICs have: pause frames, rules in the hardware, and news of their own accord.
#include <errno.h>
#include <string.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include "internal.h"

/// What each device has said, as bits. Written by EAL's interrupt thread, read and cleared by control threads.
static uint32_t events[RTE_MAX_ETHPORTS];
static struct {
    struct rte_flow *rule;
    uint16_t queue;
} lacp[RTE_MAX_ETHPORTS];

// ---------------------------------------------------------------- news

static void tell(uint16_t port, uint32_t event) {
    if (port < RTE_MAX_ETHPORTS) __atomic_fetch_or(&events[port], event, __ATOMIC_RELEASE);
}

static int port_event(uint16_t port, enum rte_eth_event_type type, void *context, void *detail) {
    (void)context;
    (void)detail;
    if (type == RTE_ETH_EVENT_INTR_LSC) tell(port, CDPDK_EVENT_LINK);
    if (type == RTE_ETH_EVENT_INTR_RESET) tell(port, CDPDK_EVENT_RESET);
    if (type == RTE_ETH_EVENT_INTR_RMV) tell(port, CDPDK_EVENT_REMOVED);
    return 0;
}

/// The kernel wants a device back that was given to this process, because somebody pulls it or takes it away.
static void device_event(const char *name, enum rte_dev_event_type type, void *context) {
    (void)context;
    if (type != RTE_DEV_EVENT_REMOVE || name == NULL) return;
    uint16_t port;
    RTE_ETH_FOREACH_DEV(port) {
        struct rte_eth_dev_info info;
        memset(&info, 0, sizeof info);
        if (rte_eth_dev_info_get(port, &info) != 0 || info.device == NULL) continue;
        if (strcmp(rte_dev_name(info.device), name) == 0) tell(port, CDPDK_EVENT_REMOVED);
    }
}

void cdpdk_events_start(void) {
    rte_eth_dev_callback_register(RTE_ETH_ALL, RTE_ETH_EVENT_INTR_LSC, port_event, NULL);
    rte_eth_dev_callback_register(RTE_ETH_ALL, RTE_ETH_EVENT_INTR_RESET, port_event, NULL);
    rte_eth_dev_callback_register(RTE_ETH_ALL, RTE_ETH_EVENT_INTR_RMV, port_event, NULL);
    rte_dev_event_callback_register(NULL, device_event, NULL);
}

uint32_t cdpdk_port_events(uint16_t port) {
    if (port >= RTE_MAX_ETHPORTS) return 0;
    return __atomic_fetch_and(&events[port], ~CDPDK_EVENT_LINK, __ATOMIC_ACQ_REL);
}

void cdpdk_port_forget(uint16_t port) {
    if (port >= RTE_MAX_ETHPORTS) return;
    __atomic_store_n(&events[port], 0, __ATOMIC_RELEASE);
    if (lacp[port].rule != NULL) {
        struct rte_flow_error error;
        rte_flow_destroy(port, lacp[port].rule, &error);
        lacp[port].rule = NULL;
    }
}

// ---------------------------------------------------------------- pause frames

int cdpdk_port_set_flow_control(uint16_t port, bool heed, bool send, bool negotiate, char *error, size_t error_size) {
    struct rte_eth_fc_conf conf;
    memset(&conf, 0, sizeof conf);
    cdpdk_log_mark();
    int result = rte_eth_dev_flow_ctrl_get(port, &conf);
    if (result == 0) {
        conf.mode = heed ? (send ? RTE_ETH_FC_FULL : RTE_ETH_FC_RX_PAUSE) : (send ? RTE_ETH_FC_TX_PAUSE : RTE_ETH_FC_NONE);
        uint8_t was = conf.autoneg;
        conf.autoneg = negotiate;
        result = rte_eth_dev_flow_ctrl_set(port, &conf);
        if (result == -ENOTSUP && conf.autoneg != was) {
            // the directions count for more than how they are agreed upon
            conf.autoneg = was;
            result = rte_eth_dev_flow_ctrl_set(port, &conf);
        }
    }
    if (result == 0) return 0;
    cdpdk_reason(error, error_size, "%s", result == -ENOTSUP ? "the device has no such flow control" : strerror(-result));
    return -1;
}

int cdpdk_port_get_flow_control(uint16_t port, bool *heed, bool *send) {
    struct rte_eth_fc_conf conf;
    memset(&conf, 0, sizeof conf);
    if (rte_eth_dev_flow_ctrl_get(port, &conf) != 0) return -1;
    *heed = conf.mode == RTE_ETH_FC_FULL || conf.mode == RTE_ETH_FC_RX_PAUSE;
    *send = conf.mode == RTE_ETH_FC_FULL || conf.mode == RTE_ETH_FC_TX_PAUSE;
    return 0;
}

// ---------------------------------------------------------------- LACP on a queue of its own

/// The slow protocols' EtherType (IEEE 802.3, annex 57A): LACP and its like.
#define ETHERTYPE_SLOW 0x8809
/// Entries of the largest table by which a NIC spreads packets over queues.
#define SPREAD_MAX 2048

int cdpdk_port_steer_lacp(uint16_t port, uint16_t queue) {
    struct rte_flow_attr attributes = {.ingress = 1};
    struct rte_flow_item_eth frame = {.type = rte_cpu_to_be_16(ETHERTYPE_SLOW)};
    struct rte_flow_item_eth mask = {.type = 0xffff};
    struct rte_flow_item pattern[] = {
        {.type = RTE_FLOW_ITEM_TYPE_ETH, .spec = &frame, .mask = &mask},
        {.type = RTE_FLOW_ITEM_TYPE_END},
    };
    struct rte_flow_action_queue to = {.index = queue};
    struct rte_flow_action actions[] = {
        {.type = RTE_FLOW_ACTION_TYPE_QUEUE, .conf = &to},
        {.type = RTE_FLOW_ACTION_TYPE_END},
    };
    struct rte_flow_error error;
    struct rte_flow *rule = rte_flow_create(port, &attributes, pattern, actions, &error);
    if (rule == NULL) return -1;

    struct rte_eth_dev_info info;
    memset(&info, 0, sizeof info);
    struct rte_eth_rss_reta_entry64 spread[SPREAD_MAX / RTE_ETH_RETA_GROUP_SIZE];
    memset(spread, 0, sizeof spread);
    int result = rte_eth_dev_info_get(port, &info);
    if (result == 0 && (info.reta_size == 0 || info.reta_size > SPREAD_MAX)) result = -ENOTSUP;
    for (uint16_t i = 0; result == 0 && i < info.reta_size; i++) {
        spread[i / RTE_ETH_RETA_GROUP_SIZE].mask |= 1ull << (i % RTE_ETH_RETA_GROUP_SIZE);
        spread[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = i % queue;
    }
    if (result == 0) result = rte_eth_dev_rss_reta_update(port, spread, info.reta_size);
    if (result != 0) {
        rte_flow_destroy(port, rule, &error);
        return result;
    }
    lacp[port].rule = rule;
    lacp[port].queue = queue;
    return 0;
}

uint16_t cdpdk_port_lacp_queue(uint16_t port) {
    return port < RTE_MAX_ETHPORTS && lacp[port].rule != NULL ? lacp[port].queue : CDPDK_NO_QUEUE;
}
