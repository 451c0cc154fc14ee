"""Applications for os-ken, run by its own Python: `osken_apps.py APPLICATION PORT TLS-JSON [ARGUMENT...]`.

Every event is told as a line of JSON on standard output.
"""
import json
import logging
import sys

from os_ken import cfg
from os_ken.base.app_manager import AppManager, OSKenApp
from os_ken.controller import ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib import hub
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_3, ofproto_v1_4

ARGUMENTS = sys.argv[4:]


def tell(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)


class Base(OSKenApp):
    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def features(self, event):
        message = event.msg
        tell("features", datapath=message.datapath_id, tables=message.n_tables, version=message.version)
        self.begin(message.datapath)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def error(self, event):
        tell("error", type=event.msg.type, code=event.msg.code)

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def state(self, event):
        tell("connected" if event.state == MAIN_DISPATCHER else "gone")

    def begin(self, datapath):
        pass


class Learning(Base):
    """A learning switch: floods what it does not know, and makes rules for what it does."""
    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.ports = {}

    def begin(self, datapath):
        parser, protocol = datapath.ofproto_parser, datapath.ofproto
        up = [parser.OFPActionOutput(protocol.OFPP_CONTROLLER, protocol.OFPCML_NO_BUFFER)]
        self.add(datapath, 0, parser.OFPMatch(), up)

    def add(self, datapath, priority, match, actions):
        parser, protocol = datapath.ofproto_parser, datapath.ofproto
        apply = [parser.OFPInstructionActions(protocol.OFPIT_APPLY_ACTIONS, actions)]
        datapath.send_msg(parser.OFPFlowMod(datapath=datapath, priority=priority, match=match, instructions=apply))

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def packet_in(self, event):
        message, datapath = event.msg, event.msg.datapath
        parser, protocol = datapath.ofproto_parser, datapath.ofproto
        frame, port = packet.Packet(message.data).get_protocols(ethernet.ethernet)[0], message.match["in_port"]
        tell("packet-in", port=port, src=frame.src, dst=frame.dst, reason=message.reason, table=message.table_id)
        self.ports[frame.src] = port
        out = self.ports.get(frame.dst, protocol.OFPP_FLOOD)
        if out != protocol.OFPP_FLOOD:
            self.add(datapath, 1, parser.OFPMatch(in_port=port, eth_dst=frame.dst), [parser.OFPActionOutput(out)])
        datapath.send_msg(parser.OFPPacketOut(
            datapath=datapath, buffer_id=message.buffer_id, in_port=port, actions=[parser.OFPActionOutput(out)], data=message.data))


class Role(Base):
    """Takes the role that its argument says, with the generation id that follows it; tells what becomes of it."""
    OFP_VERSIONS = [ofproto_v1_4.OFP_VERSION]

    def begin(self, datapath):
        roles = {"primary": datapath.ofproto.OFPCR_ROLE_MASTER, "secondary": datapath.ofproto.OFPCR_ROLE_SLAVE, "equal": datapath.ofproto.OFPCR_ROLE_EQUAL}
        datapath.send_msg(datapath.ofproto_parser.OFPRoleRequest(datapath, roles[ARGUMENTS[0]], int(ARGUMENTS[1])))

    @set_ev_cls(ofp_event.EventOFPRoleReply, MAIN_DISPATCHER)
    def role_reply(self, event):
        tell("role", role=event.msg.role, generation=event.msg.generation_id)
        datapath = event.msg.datapath
        datapath.send_msg(datapath.ofproto_parser.OFPFlowMod(datapath=datapath, table_id=3, priority=int(ARGUMENTS[1]), instructions=[]))

    @set_ev_cls(ofp_event.EventOFPRoleStatus, MAIN_DISPATCHER)
    def role_status(self, event):
        tell("role-status", role=event.msg.role, reason=event.msg.reason, generation=event.msg.generation_id)


class Bundle(Base):
    """Commits one bundle that can be carried out, and one whose last message cannot."""
    OFP_VERSIONS = [ofproto_v1_4.OFP_VERSION]

    def begin(self, datapath):
        self.steps = iter(self.script(datapath))
        next(self.steps)

    def script(self, datapath):
        parser, protocol = datapath.ofproto_parser, datapath.ofproto
        flags = protocol.OFPBF_ATOMIC | protocol.OFPBF_ORDERED
        for bundle in (1, 2):
            datapath.send_msg(parser.OFPBundleCtrlMsg(datapath, bundle, protocol.OFPBCT_OPEN_REQUEST, flags, []))
            yield
            for table in (bundle * 10, bundle * 10 + 1, 5):
                # In table 5 the second one overlaps the first one's, which no switch can know before it commits.
                match = parser.OFPMatch(in_port=1) if (bundle, table) == (2, 5) else parser.OFPMatch()
                mod = parser.OFPFlowMod(datapath=datapath, table_id=table, priority=7, flags=protocol.OFPFF_CHECK_OVERLAP, match=match, instructions=[])
                datapath.set_xid(mod)
                add = parser.OFPBundleAddMsg(datapath, bundle, flags, mod, [])
                add.set_xid(mod.xid)
                datapath.send_msg(add)
            datapath.send_msg(parser.OFPBundleCtrlMsg(datapath, bundle, protocol.OFPBCT_COMMIT_REQUEST, flags, []))
            yield

    @set_ev_cls(ofp_event.EventOFPBundleCtrlMsg, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def control(self, event):
        tell("bundle", id=event.msg.bundle_id, type=event.msg.type)
        next(self.steps, None)


class Monitor(Base):
    """Watches the flow tables."""
    OFP_VERSIONS = [ofproto_v1_4.OFP_VERSION]

    def begin(self, datapath):
        parser, protocol = datapath.ofproto_parser, datapath.ofproto
        flags = protocol.OFPFMF_INITIAL | protocol.OFPFMF_ADD | protocol.OFPFMF_REMOVED | protocol.OFPFMF_MODIFY | protocol.OFPFMF_INSTRUCTIONS
        datapath.send_msg(parser.OFPFlowMonitorRequest(
            datapath, 0, 77, protocol.OFPP_ANY, protocol.OFPG_ANY, flags, protocol.OFPTT_ALL, protocol.OFPFMC_ADD, parser.OFPMatch()))

    @set_ev_cls(ofp_event.EventOFPFlowMonitorReply, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def reply(self, event):
        for update in event.msg.body:
            tell("update", what=update.event, table=getattr(update, "table_id", None), priority=getattr(update, "priority", None),
                 cookie=getattr(update, "cookie", None))


def main():
    application, port, tls = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    logging.basicConfig(level=logging.WARNING)
    cfg.CONF(args=[], project="os_ken", version="tests")
    cfg.CONF.ofp_listen_host = "127.0.0.1"
    if tls:
        cfg.CONF.ofp_ssl_listen_port = port
        cfg.CONF.ctl_privkey, cfg.CONF.ctl_cert, cfg.CONF.ca_certs = tls["key"], tls["certificate"], tls["ca"]
    else:
        cfg.CONF.ofp_tcp_listen_port = port
    # The manager takes the first application of a module: the others are hidden from it.
    for other in (Base, Learning, Role, Bundle, Monitor):
        if other.__name__.lower() != application:
            other.__module__ = "hidden"
    manager = AppManager.get_instance()
    manager.load_apps(["__main__"])
    services = manager.instantiate_apps(**manager.create_contexts())
    hub.joinall(services)


if __name__ == "__main__":
    main()
