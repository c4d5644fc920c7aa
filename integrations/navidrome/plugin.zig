//! A Navidrome plug-in that asks a twinear server for similar artists and songs.
//!
//! Navidrome calls the exported functions with JSON and gets JSON. They ask the AudioMuse-compatible
//! addresses of `twinear serve`. What the server does not know (404) is an empty answer; when it
//! cannot be reached or refuses the token, the call fails and Navidrome logs why.
//!
//! The host is Extism's: values are passed in its memory, by offset. Navidrome adds `http_send`.

const std = @import("std");
const Allocator = std.mem.Allocator;

const env = struct {
    extern "extism:host/env" fn input_length() u64;
    extern "extism:host/env" fn input_load_u8(offset: u64) u32;
    extern "extism:host/env" fn output_set(offset: u64, length: u64) void;
    extern "extism:host/env" fn error_set(offset: u64) void;
    extern "extism:host/env" fn config_get(key: u64) u64;
    extern "extism:host/env" fn alloc(length: u64) u64;
    extern "extism:host/env" fn free(offset: u64) void;
    extern "extism:host/env" fn length(offset: u64) u64;
    extern "extism:host/env" fn load_u8(offset: u64) u32;
    extern "extism:host/env" fn store_u8(offset: u64, value: u32) void;
};
extern "extism:host/user" fn http_send(request: u64) u64;

const Failure = error{ ServerNotReached, ServerRefusesToken, ServerFailed, WrongAnswer };

const default_server = "http://127.0.0.1:8000";
const timeout_ms = 10_000; // Navidrome's limit for a request
const max_artists = 20; // whose songs make a mix around an artist

// What Navidrome sends and expects; a field that it leaves out is null.
const Artist = struct { id: ?[]const u8 = null, name: []const u8 = "", mbid: ?[]const u8 = null };
const Song = struct {
    id: ?[]const u8 = null,
    name: []const u8 = "",
    artist: ?[]const u8 = null,
    artists: ?[]const Artist = null,
    album: ?[]const u8 = null,

    fn artistName(song: Song) []const u8 {
        const artists = song.artists orelse &.{};
        return if (artists.len > 0) artists[0].name else song.artist orelse "";
    }
};
const Match = struct { song: Song, similarity: f64 };

// What the server answers.
const Track = struct {
    item_id: []const u8,
    title: []const u8,
    author: []const u8 = "",
    album: []const u8 = "",
    distance: f64 = 0,
};
const SimilarArtist = struct {
    artist: []const u8,
    artist_id: ?[]const u8 = null,
    component_matches: []const struct { artist2_representative_songs: []const Track = &.{} } = &.{},
};
const Path = struct { path: []const Track, total_distance: f64 };

export fn nd_get_similar_artists() i32 {
    return call(similarArtists);
}

export fn nd_get_similar_songs_by_artist() i32 {
    return call(songsByArtist);
}

export fn nd_get_similar_songs_by_track() i32 {
    return call(songsByTrack);
}

export fn nd_get_sonic_similar_tracks() i32 {
    return call(sonicSimilarTracks);
}

export fn nd_find_sonic_path() i32 {
    return call(sonicPath);
}

fn similarArtists(arena: Allocator) !void {
    const asked = try input(arena, struct {
        id: ?[]const u8 = null,
        name: []const u8,
        mbid: ?[]const u8 = null,
        limit: i64,
    });
    const artist: Artist = .{ .id = asked.id, .name = asked.name, .mbid = asked.mbid };
    const found = try askAboutArtist(arena, artist, asked.limit, "false");
    var artists: std.ArrayList(Artist) = .empty;
    for (found) |each| {
        const id = each.artist_id orelse "";
        const is_mbid = id.len == 36 and id[8] == '-' and id[13] == '-';
        try artists.append(arena, .{
            .name = each.artist,
            .mbid = if (is_mbid) id else null,
            .id = if (is_mbid or id.len == 0) null else id,
        });
    }
    try output(arena, .{ .artists = artists.items });
}

/// The best songs of each similar artist, then the second best of each, and so on.
fn songsByArtist(arena: Allocator) !void {
    const asked = try input(arena, struct {
        id: ?[]const u8 = null,
        name: []const u8,
        mbid: ?[]const u8 = null,
        count: i64,
    });
    const artist: Artist = .{ .id = asked.id, .name = asked.name, .mbid = asked.mbid };
    const found = try askAboutArtist(arena, artist, max_artists, "true");
    var songs: std.ArrayList(Song) = .empty;
    var place: usize = 0;
    var more = true;
    while (more) : (place += 1) {
        more = false;
        for (found) |each| {
            if (each.component_matches.len == 0) continue;
            const own = each.component_matches[0].artist2_representative_songs;
            if (place >= own.len or songs.items.len >= asked.count) continue;
            more = true;
            var track = own[place];
            track.author = each.artist;
            try songs.append(arena, try songOf(arena, track));
        }
    }
    try output(arena, .{ .songs = songs.items });
}

fn songsByTrack(arena: Allocator) !void {
    const asked = try input(arena, struct {
        id: ?[]const u8 = null,
        name: []const u8,
        artist: []const u8 = "",
        count: i64,
    });
    const song: Song = .{ .id = asked.id, .name = asked.name, .artist = asked.artist };
    var songs: std.ArrayList(Song) = .empty;
    for (try askAboutSong(arena, song, asked.count)) |track|
        try songs.append(arena, try songOf(arena, track));
    try output(arena, .{ .songs = songs.items });
}

fn sonicSimilarTracks(arena: Allocator) !void {
    const asked = try input(arena, struct { song: Song, count: i64 });
    var matches: std.ArrayList(Match) = .empty;
    for (try askAboutSong(arena, asked.song, asked.count)) |track|
        try matches.append(arena, .{
            .song = try songOf(arena, track),
            .similarity = 1 - track.distance,
        });
    try output(arena, .{ .matches = matches.items });
}

/// The server gives the length of the path as a whole: every step has the mean similarity.
fn sonicPath(arena: Allocator) !void {
    const asked = try input(arena, struct { startSong: Song, endSong: Song, count: i64 });
    var matches: std.ArrayList(Match) = .empty;
    const found = try get(arena, Path, "find_path", &.{
        .{ "start_song_id", asked.startSong.id orelse "-" },
        .{ "end_song_id", asked.endSong.id orelse "-" },
        .{ "max_steps", try decimal(arena, asked.count) },
    });
    if (found) |path| {
        const steps: f64 = @floatFromInt(@max(path.path.len, 2) - 1);
        for (path.path, 0..) |track, place|
            try matches.append(arena, .{
                .song = try songOf(arena, track),
                .similarity = if (place == 0) 1 else 1 - path.total_distance / steps,
            });
    }
    try output(arena, .{ .matches = matches.items });
}

/// By Navidrome's id or MusicBrainz's, as far as the server knows them, else by name.
fn askAboutArtist(arena: Allocator, artist: Artist, n: i64, songs: []const u8) ![]const SimilarArtist {
    for ([_]?[]const u8{ artist.id, artist.mbid, artist.name }) |each| {
        const asked = each orelse continue;
        if (asked.len == 0) continue;
        if (try get(arena, []const SimilarArtist, "similar_artists", &.{
            .{ "artist", asked },
            .{ "n", try decimal(arena, n) },
            .{ "include_component_matches", songs },
        })) |found| return found;
    }
    return &.{};
}

/// By Navidrome's id, which the server knows if it was synced with Navidrome, else by title.
fn askAboutSong(arena: Allocator, song: Song, n: i64) ![]const Track {
    const count = try decimal(arena, n);
    if (song.id) |id| {
        const found = try get(arena, []const Track, "similar_tracks", &.{
            .{ "item_id", id }, .{ "n", count }, .{ "eliminate_duplicates", "true" },
        });
        if (found) |tracks| return tracks;
    }
    if (song.name.len == 0 or song.artistName().len == 0) return &.{};
    return try get(arena, []const Track, "similar_tracks", &.{
        .{ "title", song.name }, .{ "artist", song.artistName() },
        .{ "n", count },         .{ "eliminate_duplicates", "true" },
    }) orelse &.{};
}

fn songOf(arena: Allocator, track: Track) !Song {
    const artists = try arena.dupe(Artist, &.{.{ .name = track.author }});
    const album = if (track.album.len == 0 or std.mem.eql(u8, track.album, "unknown")) null else track.album;
    return .{ .id = track.item_id, .name = track.title, .artists = artists, .album = album };
}

fn decimal(arena: Allocator, n: i64) ![]const u8 {
    return std.fmt.allocPrint(arena, "{d}", .{std.math.clamp(n, 1, 500)});
}

/// Ask an address under /api/ of the server; null if it does not know what it was asked for.
fn get(arena: Allocator, T: type, what: []const u8, query: []const struct { []const u8, []const u8 }) !?T {
    var url: std.Io.Writer.Allocating = .init(arena);
    const server = try config(arena, "server") orelse default_server;
    try url.writer.print("{s}/api/{s}", .{ std.mem.trimEnd(u8, server, "/ "), what });
    for (query, 0..) |each, place| {
        try url.writer.print("{c}{s}=", .{ @as(u8, if (place == 0) '?' else '&'), each[0] });
        try std.Uri.Component.percentEncode(&url.writer, each[1], isUnreserved);
    }
    const token = try config(arena, "token") orelse "";
    const bearer = try std.fmt.allocPrint(arena, "Bearer {s}", .{token});
    const Headers = struct { Accept: []const u8 = "application/json", Authorization: ?[]const u8 };
    const request = .{ .request = .{
        .method = "GET",
        .url = url.written(),
        .headers = Headers{ .Authorization = if (token.len > 0) bearer else null },
        .timeoutMs = timeout_ms,
    } };
    const sent = write(try json(arena, request));
    const received = try read(arena, http_send(sent));
    env.free(sent);
    const Response = struct {
        result: ?struct { statusCode: i32, body: ?[]const u8 = null } = null,
        @"error": ?[]const u8 = null,
    };
    const result = (try parse(arena, Response, received)).result orelse return Failure.ServerNotReached;
    switch (result.statusCode) {
        200 => {},
        404 => return null,
        401, 403 => return Failure.ServerRefusesToken,
        else => return Failure.ServerFailed,
    }
    const encoded = result.body orelse return Failure.WrongAnswer;
    const decoder = std.base64.standard.Decoder;
    const body = try arena.alloc(u8, decoder.calcSizeForSlice(encoded) catch return Failure.WrongAnswer);
    decoder.decode(body, encoded) catch return Failure.WrongAnswer;
    return try parse(arena, T, body);
}

fn isUnreserved(c: u8) bool {
    return std.ascii.isAlphanumeric(c) or std.mem.findScalar(u8, "-._~", c) != null;
}

fn call(answer: *const fn (Allocator) anyerror!void) i32 {
    var arena: std.heap.ArenaAllocator = .init(std.heap.wasm_allocator);
    defer arena.deinit();
    answer(arena.allocator()) catch |failure| {
        const reason: []const u8 = switch (failure) {
            Failure.ServerNotReached => "the twinear server cannot be reached: check its address in the plugin's configuration",
            Failure.ServerRefusesToken => "the twinear server refuses the token in the plugin's configuration",
            Failure.ServerFailed => "the twinear server failed: see its log",
            Failure.WrongAnswer => "the address in the plugin's configuration is of no twinear server",
            else => @errorName(failure),
        };
        env.error_set(write(reason));
        return 1;
    };
    return 0;
}

fn input(arena: Allocator, T: type) !T {
    const bytes = try arena.alloc(u8, @intCast(env.input_length()));
    for (bytes, 0..) |*byte, at| byte.* = @truncate(env.input_load_u8(at));
    return std.json.parseFromSliceLeaky(T, arena, bytes, .{ .ignore_unknown_fields = true });
}

fn output(arena: Allocator, value: anytype) !void {
    const bytes = try json(arena, value);
    env.output_set(write(bytes), bytes.len);
}

fn config(arena: Allocator, key: []const u8) !?[]const u8 {
    const name = write(key);
    defer env.free(name);
    const value = env.config_get(name);
    return if (value == 0) null else try read(arena, value);
}

fn json(arena: Allocator, value: anytype) ![]const u8 {
    return std.json.Stringify.valueAlloc(arena, value, .{ .emit_null_optional_fields = false });
}

fn parse(arena: Allocator, T: type, bytes: []const u8) !T {
    return std.json.parseFromSliceLeaky(T, arena, bytes, .{ .ignore_unknown_fields = true }) catch
        return Failure.WrongAnswer;
}

fn read(arena: Allocator, offset: u64) ![]const u8 {
    const bytes = try arena.alloc(u8, @intCast(env.length(offset)));
    for (bytes, 0..) |*byte, at| byte.* = @truncate(env.load_u8(offset + at));
    return bytes;
}

fn write(bytes: []const u8) u64 {
    const offset = env.alloc(bytes.len);
    for (bytes, 0..) |byte, at| env.store_u8(offset + at, byte);
    return offset;
}
