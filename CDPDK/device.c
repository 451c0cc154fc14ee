// Devices: finding, configuring, asking.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include "internal.h"

/// Longest `devargs`: as many bytes as an OVSDB string of sane length has.
#define DEVARGS_SIZE 1024

_Static_assert(RTE_ETH_NAME_MAX_LEN <= CDPDK_NAME_SIZE && RTE_ETH_XSTATS_NAME_SIZE <= CDPDK_NAME_SIZE, "names fit");

/// What DPDK logged while it failed, else what its error number says.
static void reason_from_log(int code, char *error, size_t size) {
    char line[256];
    if (cdpdk_log_last_error(line, sizeof line) > 0)
        cdpdk_reason(error, size, "%s", line);
    else
        cdpdk_reason(error, size, "%s", code == 0 ? "no such device" : strerror(code < 0 ? -code : code));
}

static uint16_t find_port(const char *devargs) {
    struct rte_dev_iterator iterator;
    uint16_t port, found = CDPDK_NO_PORT;
    RTE_ETH_FOREACH_MATCHING_DEV(port, devargs, &iterator) {
        found = port;
        rte_eth_iterator_cleanup(&iterator);
        break;
    }
    return found;
}

int cdpdk_device_probe(const char *devargs, uint16_t *port, bool *probed, char *error, size_t error_size) {
    *port = CDPDK_NO_PORT;
    *probed = false;
    if (!cdpdk_eal_is_initialized()) {
        cdpdk_reason(error, error_size, "DPDK is not initialised");
        return -1;
    }
    if (strlen(devargs) >= DEVARGS_SIZE) {
        cdpdk_reason(error, error_size, "longer than %d bytes", DEVARGS_SIZE - 1);
        return -1;
    }
    // The name alone finds a device that is there already; with arguments the iterator takes them for filters.
    char name[DEVARGS_SIZE];
    strcpy(name, devargs);
    bool by_class = strncmp(devargs, "class=", 6) == 0;
    if (!by_class) name[strcspn(name, ",")] = 0;
    uint16_t found;
    if (!by_class && rte_eth_dev_get_port_by_name(name, &found) == 0) {
        *port = found;
        return 0;
    }
    cdpdk_log_mark();
    found = find_port(by_class ? devargs : name);
    if (found != CDPDK_NO_PORT) {
        *port = found;
        return 0;
    }
    if (by_class) {
        cdpdk_reason(error, error_size, "no device that DPDK has probed matches; name those to be probed, as in other_config:dpdk-extra=\"-a 0000:3b:00.0\"");
        return -1;
    }
    cdpdk_log_mark();
    int result = rte_dev_probe(devargs);
    if (result != 0) {
        reason_from_log(result, error, error_size);
        return -1;
    }
    if (rte_eth_dev_get_port_by_name(name, &found) != 0) found = find_port(name);
    if (found == CDPDK_NO_PORT) {
        cdpdk_reason(error, error_size, "the device has no Ethernet port");
        return -1;
    }
    *port = found;
    *probed = true;
    return 0;
}

int cdpdk_device_remove(uint16_t port, char *error, size_t error_size) {
    struct rte_eth_dev_info info;
    memset(&info, 0, sizeof info);
    if (!rte_eth_dev_is_valid_port(port)) return 0;
    cdpdk_port_forget(port);
    if (rte_eth_dev_info_get(port, &info) != 0) info.device = NULL;
    struct rte_device *device = info.device;
    rte_eth_dev_stop(port);
    int result = rte_eth_dev_close(port);
    if (result != 0) {
        cdpdk_reason(error, error_size, "%s", strerror(-result));
        return -1;
    }
    if (device == NULL) return 0;
    uint16_t sibling;
    RTE_ETH_FOREACH_DEV_OF(sibling, device) return 0;
    cdpdk_log_mark();
    result = rte_dev_remove(device);
    if (result < 0) {
        reason_from_log(result, error, error_size);
        return -1;
    }
    return 0;
}

static uint16_t fit_descriptors(uint16_t wanted, const struct rte_eth_desc_lim *limit) {
    uint32_t n = wanted;
    if (limit->nb_max != 0 && n > limit->nb_max) n = limit->nb_max;
    if (n < limit->nb_min) n = limit->nb_min;
    if (limit->nb_align > 1) n = n / limit->nb_align * limit->nb_align;
    return (uint16_t)(n == 0 ? wanted : n);
}

/// Sets queues up and starts the device: what `cdpdk_port_start` has decided on.
static int start_with(
    uint16_t port, const struct cdpdk_port_config *config, const struct rte_eth_dev_info *info, uint16_t rx_queues, char *error,
    size_t error_size) {
    uint16_t tx_queues = config->tx_queues < info->max_tx_queues ? config->tx_queues : info->max_tx_queues;
    struct rte_eth_conf conf;
    memset(&conf, 0, sizeof conf);
    if (rx_queues > 1) {
        uint64_t functions = (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP) & info->flow_type_rss_offloads;
        if (functions != 0) {
            conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = functions;
        }
    }
    if (config->mtu != 0 && config->mtu + (uint32_t)RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN > RTE_ETHER_MAX_LEN) {
        uint16_t room = (uint16_t)(rte_pktmbuf_data_room_size(pool_of(config->pool)) - RTE_PKTMBUF_HEADROOM);
        if (room < config->mtu + 22u && (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER))
            conf.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
    }
    if (config->mtu != 0) conf.rxmode.mtu = config->mtu;
    if (config->lsc_interrupt && (*info->dev_flags & RTE_ETH_DEV_INTR_LSC)) conf.intr_conf.lsc = 1;
    if (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS) conf.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
    const uint64_t checksums = RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
    if (config->offloads && (info->tx_offload_capa & checksums) == checksums) {
        conf.txmode.offloads |= checksums | (info->tx_offload_capa & (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO));
    }

    int result = rte_eth_dev_configure(port, rx_queues, tx_queues, &conf);
    if (result != 0 && conf.rxmode.mtu != 0) {
        // a device that cannot be told its MTU here may still take it below, or have a fixed one
        conf.rxmode.mtu = 0;
        cdpdk_log_mark();
        result = rte_eth_dev_configure(port, rx_queues, tx_queues, &conf);
    }
    if (result != 0) {
        reason_from_log(result, error, error_size);
        return -1;
    }
    uint16_t rx_descriptors = fit_descriptors(config->rx_descriptors, &info->rx_desc_lim);
    uint16_t tx_descriptors = fit_descriptors(config->tx_descriptors, &info->tx_desc_lim);
    result = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rx_descriptors, &tx_descriptors);
    if (result != 0) {
        reason_from_log(result, error, error_size);
        return -1;
    }
    int numa = rte_eth_dev_socket_id(port);
    for (uint16_t q = 0; q < tx_queues; q++) {
        struct rte_eth_txconf tx = info->default_txconf;
        tx.offloads = conf.txmode.offloads;
        result = rte_eth_tx_queue_setup(port, q, tx_descriptors, (unsigned)numa, &tx);
        if (result != 0) {
            reason_from_log(result, error, error_size);
            return -1;
        }
    }
    for (uint16_t q = 0; q < rx_queues; q++) {
        result = rte_eth_rx_queue_setup(port, q, rx_descriptors, (unsigned)numa, NULL, pool_of(config->pool));
        if (result != 0) {
            reason_from_log(result, error, error_size);
            return -1;
        }
    }
    result = rte_eth_dev_start(port);
    if (result != 0) {
        reason_from_log(result, error, error_size);
        return -1;
    }
    return 0;
}

int cdpdk_port_start(uint16_t port, const struct cdpdk_port_config *config, char *error, size_t error_size) {
    struct rte_eth_dev_info info;
    memset(&info, 0, sizeof info);
    int result = rte_eth_dev_info_get(port, &info);
    if (result != 0) {
        cdpdk_reason(error, error_size, "device information: %s", strerror(-result));
        return -1;
    }
    cdpdk_log_mark();
    if (info.nb_rx_queues > 0 || info.nb_tx_queues > 0) rte_eth_dev_stop(port);
    cdpdk_port_forget(port);

    uint16_t rx_queues = config->rx_queues < info.max_rx_queues ? config->rx_queues : info.max_rx_queues;
    if (config->steer_lacp && rx_queues < info.max_rx_queues) {
        // one more than the spread traffic gets; without a device that obeys, as if nobody had asked
        if (start_with(port, config, &info, (uint16_t)(rx_queues + 1), error, error_size) == 0 && cdpdk_port_steer_lacp(port, rx_queues) == 0)
            goto started;
        rte_eth_dev_stop(port);
        cdpdk_log_mark();
    }
    result = start_with(port, config, &info, rx_queues, error, error_size);
    if (result != 0) return result;
started:
    // a virtual device without such a mode receives everything anyway
    rte_eth_promiscuous_enable(port);
    rte_eth_allmulticast_enable(port);
    return 0;
}

uint32_t cdpdk_port_offloads(uint16_t port) {
    struct rte_eth_conf conf;
    if (rte_eth_dev_conf_get(port, &conf) != 0 || (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) == 0) return 0;
    uint32_t offloads = CDPDK_OFFLOAD_CHECKSUM;
    if (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_TCP_TSO) offloads |= CDPDK_OFFLOAD_TSO4 | CDPDK_OFFLOAD_TSO6;
    if (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) offloads |= CDPDK_OFFLOAD_IPV4;
    return offloads;
}

int cdpdk_port_numa(uint16_t port) { return rte_eth_dev_socket_id(port); }
int cdpdk_port_stop(uint16_t port) { return rte_eth_dev_stop(port); }

int cdpdk_port_get_info(uint16_t port, struct cdpdk_port_info *out) {
    struct rte_eth_dev_info info;
    memset(&info, 0, sizeof info);
    memset(out, 0, sizeof *out);
    int result = rte_eth_dev_info_get(port, &info);
    if (result != 0) return result;
    snprintf(out->driver, sizeof out->driver, "%s", info.driver_name ? info.driver_name : "");
    if (info.device != NULL) {
        snprintf(out->device, sizeof out->device, "%s", rte_dev_name(info.device));
        const struct rte_bus *bus = rte_dev_bus(info.device);
        if (bus != NULL) snprintf(out->bus, sizeof out->bus, "%s", rte_bus_name(bus));
    }
    out->numa = rte_eth_dev_socket_id(port);
    out->max_rx_queues = info.max_rx_queues;
    out->max_tx_queues = info.max_tx_queues;
    out->rx_queues = info.nb_rx_queues;
    out->tx_queues = info.nb_tx_queues;
    struct rte_eth_rxq_info rx;
    struct rte_eth_txq_info tx;
    if (info.nb_rx_queues > 0 && rte_eth_rx_queue_info_get(port, 0, &rx) == 0) out->rx_descriptors = rx.nb_desc;
    if (info.nb_tx_queues > 0 && rte_eth_tx_queue_info_get(port, 0, &tx) == 0) out->tx_descriptors = tx.nb_desc;
    out->min_mtu = info.min_mtu;
    out->max_mtu = info.max_mtu;
    out->max_rx_packet_length = info.max_rx_pktlen;
    out->if_index = info.if_index;
    out->is_representor = (*info.dev_flags & RTE_ETH_DEV_REPRESENTOR) != 0;
    out->can_interrupt = (*info.dev_flags & RTE_ETH_DEV_INTR_LSC) != 0;
    uint16_t mtu = 0;
    if (rte_eth_dev_get_mtu(port, &mtu) == 0) out->mtu = mtu;
    struct rte_ether_addr mac;
    if (rte_eth_macaddr_get(port, &mac) == 0) memcpy(out->mac, mac.addr_bytes, 6);
    return 0;
}

int cdpdk_port_get_link(uint16_t port, struct cdpdk_link *out) {
    struct rte_eth_link link;
    memset(&link, 0, sizeof link);
    int result = rte_eth_link_get_nowait(port, &link);
    memset(out, 0, sizeof *out);
    if (result != 0) return result;
    out->speed_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
    out->up = link.link_status == RTE_ETH_LINK_UP;
    out->full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
    out->autoneg = link.link_autoneg == RTE_ETH_LINK_AUTONEG;
    return 0;
}

int cdpdk_port_get_stats(uint16_t port, struct cdpdk_port_stats *out) {
    struct rte_eth_stats stats;
    memset(&stats, 0, sizeof stats);
    int result = rte_eth_stats_get(port, &stats);
    *out = (struct cdpdk_port_stats){
        .rx_packets = stats.ipackets,
        .tx_packets = stats.opackets,
        .rx_bytes = stats.ibytes,
        .tx_bytes = stats.obytes,
        .rx_missed = stats.imissed,
        .rx_errors = stats.ierrors,
        .tx_errors = stats.oerrors,
        .rx_no_mbuf = stats.rx_nombuf,
    };
    return result;
}

int cdpdk_port_get_xstats(uint16_t port, struct cdpdk_xstat *out, uint32_t size) {
    int count = rte_eth_xstats_get_names(port, NULL, 0);
    if (count <= 0 || out == NULL || size == 0) return count;
    struct rte_eth_xstat_name *names = calloc((size_t)count, sizeof *names);
    struct rte_eth_xstat *values = calloc((size_t)count, sizeof *values);
    int result = -1;
    if (names != NULL && values != NULL && rte_eth_xstats_get_names(port, names, (unsigned)count) == count) {
        int got = rte_eth_xstats_get(port, values, (unsigned)count);
        uint32_t written = 0;
        for (int i = 0; i < got && i < count && written < size; i++) {
            if (values[i].id >= (uint64_t)count) continue;
            snprintf(out[written].name, sizeof out[written].name, "%s", names[values[i].id].name);
            out[written].value = values[i].value;
            written++;
        }
        result = (int)written;
    }
    free(names);
    free(values);
    return result;
}

int cdpdk_port_set_mac(uint16_t port, const uint8_t *mac, char *error, size_t error_size) {
    struct rte_ether_addr address;
    memcpy(address.addr_bytes, mac, 6);
    cdpdk_log_mark();
    int result = rte_eth_dev_default_mac_addr_set(port, &address);
    if (result != 0) reason_from_log(result, error, error_size);
    return result == 0 ? 0 : -1;
}

uint16_t cdpdk_eth_rx_burst(uint16_t port, uint16_t queue, struct cdpdk_mbuf **out, uint16_t n) {
    return rte_eth_rx_burst(port, queue, reals(out), n);
}
uint16_t cdpdk_eth_tx_burst(uint16_t port, uint16_t queue, struct cdpdk_mbuf **packets, uint16_t n) {
    return rte_eth_tx_burst(port, queue, reals(packets), n);
}
uint16_t cdpdk_eth_tx_prepared_burst(uint16_t port, uint16_t queue, struct cdpdk_mbuf **packets, uint16_t n) {
    return rte_eth_tx_burst(port, queue, reals(packets), rte_eth_tx_prepare(port, queue, reals(packets), n));
}
