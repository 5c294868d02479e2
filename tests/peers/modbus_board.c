/* A board by libmodbus, which shares nothing with the daemon or its simulator: 8 coils and 8 inputs as unit 1, either
 * `tcp PORT` or `rtu DEVICE`. It prints `coil N on` and `coil N off` as coils change. Built by tests/daemon/peers.rs:
 * cc modbus_board.c $(pkg-config --cflags --libs libmodbus) */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COILS 8

static void say_changes(const modbus_mapping_t *map, unsigned char before[COILS]) {
    for (int coil = 0; coil < COILS; coil++) {
        if (map->tab_bits[coil] != before[coil]) {
            printf("coil %d %s\n", coil, map->tab_bits[coil] ? "on" : "off");
            fflush(stdout);
        }
        before[coil] = map->tab_bits[coil];
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: modbus_board tcp PORT | rtu DEVICE\n");
        return 2;
    }
    int over_tcp = strcmp(argv[1], "tcp") == 0;
    modbus_t *line = over_tcp ? modbus_new_tcp("127.0.0.1", atoi(argv[2])) : modbus_new_rtu(argv[2], 9600, 'N', 8, 1);
    modbus_mapping_t *map = modbus_mapping_new(COILS, 8, 0, 0);
    if (line == NULL || map == NULL || modbus_set_slave(line, 1) == -1) {
        return 1;
    }
    unsigned char before[COILS] = {0}, request[MODBUS_TCP_MAX_ADU_LENGTH];
    /* The first door is closed. */
    map->tab_input_bits[0] = 1;
    int listening = over_tcp ? modbus_tcp_listen(line, 1) : modbus_connect(line);
    if (listening == -1) {
        perror("modbus_board");
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        if (over_tcp && modbus_tcp_accept(line, &listening) == -1) {
            return 1;
        }
        for (;;) {
            int length = modbus_receive(line, request);
            if (length > 0) {
                modbus_reply(line, request, length, map);
                say_changes(map, before);
            } else if (length == -1 && over_tcp) {
                break;
            }
        }
    }
}
