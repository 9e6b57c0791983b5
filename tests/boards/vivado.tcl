# A Vivado for build.tcl: cells, pins and connections as tables say; anything that is not in them is an error, as is a
# pin that is left open. Its commands are those of UG835 and UG1118 that the script uses, with their options; pins and
# parameters of the IPs are those of PG021 (AXI DMA 7.1), PG082 (Zynq-7000 PS), PG201 (Zynq UltraScale+ PS), PG247
# (SmartConnect), PG164 (Processor System Reset), PG099 (AXI interrupt controller), and the constant in xlconcat's name of
# UG994.
#
# Interface pins: name, side. Pins: name, direction. Of the IP under test the test adds its own, from component.xml.

array set INTERFACES {
    xilinx.com:ip:processing_system7 {M_AXI_GP0 Master M_AXI_GP1 Master S_AXI_HP0 Slave S_AXI_HP1 Slave}
    xilinx.com:ip:zynq_ultra_ps_e {M_AXI_HPM0_FPD Master M_AXI_HPM1_FPD Master M_AXI_HPM0_LPD Master S_AXI_HP0_FPD Slave}
    xilinx.com:ip:axi_dma {S_AXI_LITE Slave M_AXI_SG Master M_AXI_MM2S Master M_AXI_S2MM Master M_AXIS_MM2S Master S_AXIS_S2MM Slave}
    xilinx.com:ip:smartconnect {S00_AXI Slave S01_AXI Slave M00_AXI Master M01_AXI Master M02_AXI Master}
    xilinx.com:ip:axi_intc {s_axi Slave}
    xilinx.com:ip:proc_sys_reset {}
    xilinx.com:ip:xlconcat {}
}
array set PINS {
    xilinx.com:ip:processing_system7 {FCLK_CLK0 O FCLK_RESET0_N O M_AXI_GP0_ACLK I S_AXI_HP0_ACLK I IRQ_F2P I}
    xilinx.com:ip:zynq_ultra_ps_e {pl_clk0 O pl_resetn0 O maxihpm0_fpd_aclk I saxihp0_fpd_aclk I pl_ps_irq0 I}
    xilinx.com:ip:axi_dma {s_axi_lite_aclk I m_axi_mm2s_aclk I m_axi_s2mm_aclk I axi_resetn I mm2s_introut O s2mm_introut O}
    xilinx.com:ip:smartconnect {aclk I aresetn I}
    xilinx.com:ip:proc_sys_reset {slowest_sync_clk I ext_reset_in I peripheral_aresetn O interconnect_aresetn O mb_reset O}
    xilinx.com:ip:xlconcat {In0 I In1 I In2 I dout O}
    xilinx.com:ip:axi_intc {s_axi_aclk I s_axi_aresetn I intr I irq O}
}
# Parameters and, as patterns of a regular expression, what they take.
array set PARAMETERS {
    xilinx.com:ip:processing_system7 {
        PCW_USE_M_AXI_GP0 [01] PCW_USE_S_AXI_HP0 [01] PCW_S_AXI_HP0_DATA_WIDTH (32|64)
        PCW_FPGA0_PERIPHERAL_FREQMHZ [0-9.]+ PCW_USE_FABRIC_INTERRUPT [01] PCW_IRQ_F2P_INTR [01]
    }
    xilinx.com:ip:zynq_ultra_ps_e {
        PSU__USE__M_AXI_GP0 [01] PSU__USE__M_AXI_GP1 [01] PSU__USE__M_AXI_GP2 [01] PSU__USE__S_AXI_GP2 [01]
        PSU__SAXIGP2__DATA_WIDTH (32|64|128) PSU__FPGA_PL0_ENABLE [01] PSU__USE__IRQ0 [01]
        PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ [0-9.]+
    }
    xilinx.com:ip:axi_dma {
        c_include_sg [01] c_sg_include_stscntrl_strm [01] c_sg_length_width ([89]|1[0-9]|2[0-6])
        c_addr_width (3[2-9]|[45][0-9]|6[0-4])
        c_m_axi_mm2s_data_width (32|64|128|256|512|1024) c_m_axi_s2mm_data_width (32|64|128|256|512|1024)
        c_m_axis_mm2s_tdata_width (8|16|32|64|128|256|512|1024) c_s_axis_s2mm_tdata_width (8|16|32|64|128|256|512|1024)
        c_mm2s_burst_size (2|4|8|16|32|64|128|256) c_s2mm_burst_size (2|4|8|16|32|64|128|256)
    }
    xilinx.com:ip:smartconnect {NUM_SI ([1-9]|1[0-6]) NUM_MI ([1-9]|1[0-6])}
    xilinx.com:ip:proc_sys_reset {}
    xilinx.com:ip:xlconcat {NUM_PORTS [0-9]+}
    xilinx.com:ip:axi_intc {C_IRQ_CONNECTION [01]}
}

array set CELLS {}
array set VALUES {}
array set JOINED {}
set LOG {}
set CORE {}

proc say args { puts "did:[join $args |]" }
# Takes the options of a command off its arguments: those with a value, those without; the others remain.
proc options {name arguments valued flags} {
    set found [dict create]
    set rest {}
    while {[llength $arguments]} {
        set arguments [lassign $arguments word]
        if {$word in $valued} {
            set arguments [lassign $arguments value]
            dict set found $word $value
        } elseif {$word in $flags} {
            dict set found $word 1
        } elseif {[string match -* $word]} {
            error "$name: no option $word"
        } else {
            lappend rest $word
        }
    }
    return [list $found $rest]
}
proc known {array name} {
    upvar #0 $array table
    if {![info exists table($name)]} {
        error "no such $array: $name"
    }
    return $table($name)
}

proc create_project args {
    lassign [options create_project $args {-part} {-force -in_memory}] found rest
    say create_project [lindex $rest 0] [dict get $found -part]
}
proc get_board_parts args {
    lassign [options get_board_parts $args {-filter} {-quiet}] found rest
    return [expr {$::BOARD_FILES ? [list [string map {* 1.0} [lindex $rest 0]] [string map {* 1.1} [lindex $rest 0]]] : {}}]
}
proc current_project {} { return project }
proc current_fileset {} { return sources_1 }
proc get_files name { return $name }
proc get_runs name { return $name }
proc set_property args {
    lassign [options set_property $args {-dict} {}] found rest
    if {[dict exists $found -dict]} {
        set pairs [dict get $found -dict]
    } else {
        set pairs [lrange $rest 0 1]
        set rest [lrange $rest 2 end]
    }
    set object [lindex $rest 0]
    if {[llength $rest] != 1 || [llength $pairs] % 2} {
        error "set_property: $args"
    }
    foreach {key value} $pairs {
        if {$object in {project sources_1}} {
            if {$key ni {board_part board_connections ip_repo_paths top}} {
                error "set_property: no property $key of $object"
            }
            say property $key $value
            continue
        }
        set ip [known CELLS $object]
        set takes [known PARAMETERS $ip]
        set name [string range $key [string length CONFIG.] end]
        if {![string match CONFIG.* $key] || ![dict exists $takes $name]} {
            error "set_property: $ip has no $key"
        }
        if {![regexp "^[dict get $takes $name]$" $value]} {
            error "set_property: $ip: $key cannot be $value"
        }
        set ::VALUES($object,$name) $value
        say value $object $name $value
    }
}
proc get_property {name object} {
    return [dict get $::RUN $name]
}
namespace eval ipx {
    proc open_core path {
        if {![file exists $path]} { error "ipx::open_core: $path" }
        say open_core [file tail $path]
        return core
    }
    proc update_checksums core { say update_checksums $core }
    proc check_integrity core { say check_integrity $core }
    proc save_core core { say save_core $core }
    proc unload_core core { say unload_core $core }
}
proc update_ip_catalog args { say update_ip_catalog }
proc create_bd_design name { say create_bd_design $name }
proc create_bd_cell args {
    lassign [options create_bd_cell $args {-type -vlnv} {}] found rest
    set ip [dict get $found -vlnv]
    known PINS $ip
    set ::CELLS([lindex $rest 0]) $ip
    return [lindex $rest 0]
}
proc apply_bd_automation args {
    lassign [options apply_bd_automation $args {-rule -config} {}] found rest
    set ip [known CELLS [lindex $rest 0]]
    if {[string map {:bd_rule: :ip:} [dict get $found -rule]] ne $ip || [llength [dict get $found -config]] % 2} {
        error "apply_bd_automation: $args"
    }
    say automation [dict get $found -rule] [dict get [dict get $found -config] apply_board_preset]
}
proc pin_of {array path} {
    lassign [split $path /] cell pin
    set pins [known $array [known CELLS $cell]]
    if {![dict exists $pins $pin]} {
        error "no such pin: $path"
    }
    return $path
}
proc side {array path} {
    lassign [split $path /] cell pin
    return [dict get [known $array [known CELLS $cell]] $pin]
}
proc get_bd_intf_pins path { return [pin_of INTERFACES $path] }
proc get_bd_pins path { return [pin_of PINS $path] }
proc connect_bd_intf_net {a b} {
    if {[lsort [list [side INTERFACES $a] [side INTERFACES $b]]] ne {Master Slave}} {
        error "connect_bd_intf_net: $a $b"
    }
    foreach end [list $a $b] {
        if {[info exists ::JOINED($end)]} { error "$end is joined twice" }
        set ::JOINED($end) 1
    }
    say stream $a $b
}
proc connect_bd_net {a b} {
    if {[side PINS $a] ne "O" || [side PINS $b] ne "I" || [info exists ::JOINED($b)]} {
        error "connect_bd_net: $a $b"
    }
    set ::JOINED($b) 1
    set ::JOINED($a) 1
    say net $a $b
}
proc assign_bd_address args { say assign_bd_address }
# Every input has a driver, every interface another end; how many a SmartConnect has is what it was told.
proc validate_bd_design args {
    foreach cell [array names ::CELLS] {
        set ip $::CELLS($cell)
        foreach {pin direction} $::PINS($ip) {
            if {$direction eq "I" && ![info exists ::JOINED($cell/$pin)]} { error "$cell/$pin is open" }
        }
        foreach {pin side} $::INTERFACES($ip) {
            set there [info exists ::JOINED($cell/$pin)]
            if {[regexp {smartconnect$} $ip]} {
                scan $pin {%1s%d} letter number
                set wanted [expr {$number < $::VALUES($cell,NUM_${letter}I)}]
                if {$wanted != $there} { error "$cell/$pin: joined $there, wanted $wanted" }
            } elseif {![regexp {processing_system7$|zynq_ultra_ps_e$} $ip] && !$there && $pin ne "M_AXI_SG"} {
                error "$cell/$pin is open"
            }
        }
    }
    say validate_bd_design
}
proc save_bd_design {} { say save_bd_design }
proc make_wrapper args {
    lassign [options make_wrapper $args {-files} {-top}] found rest
    return /somewhere/system_wrapper.v
}
proc add_files args {
    lassign [options add_files $args {} {-norecurse}] found rest
    say add_files [file tail [lindex $rest 0]]
}
proc update_compile_order args { options update_compile_order $args {-fileset} {} }
proc launch_runs args {
    lassign [options launch_runs $args {-to_step -jobs} {}] found rest
    say launch_runs [lindex $rest 0] [dict get $found -to_step]
    if {[dict get $::RUN PROGRESS] eq "100%"} {
        foreach path {psconv.runs/impl_1/system_wrapper.bit psconv.gen/sources_1/bd/system/hw_handoff/system.hwh} {
            file mkdir [file dirname $::WORK/vivado/$path]
            close [open $::WORK/vivado/$path w]
        }
    }
}
proc wait_on_run name { say wait_on_run $name }
proc open_run name { say open_run $name }
proc report_utilization args { options report_utilization $args {-file} {} }
proc report_timing_summary args { options report_timing_summary $args {-file} {} }
rename exit leave
proc exit {{code 0}} {
    say exit $code
    leave $code
}
