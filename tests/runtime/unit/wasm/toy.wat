(module
  (import "cloche" "call" (func $call (param i32 i32 i32 i32) (result i32)))
  (import "cloche" "take" (func $take (param i32)))
  (import "cloche" "write" (func $write (param i32 i32 i32)))
  (import "cloche" "clock" (func $clock (param i32) (result i64)))
  (import "cloche" "entropy" (func $entropy (param i32 i32)))

  ;; 4 pages: the inbox at 65536 is as large as one page, answers lie at 1024, free room from 131072.
  (memory (export "memory") 4 4096)
  (global $sp (export "__stack_pointer") (mut i32) (i32.const 65536))
  (type $none (func))
  (table 4 funcref)
  (elem (i32.const 1) $identity)

  (func $identity (param i32) (result i32) (local.get 0))
  (func $recurse (param i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))

  (func $arg (param $n i32) (result i32)
    (i32.load (i32.add (i32.const 65540) (i32.mul (local.get $n) (i32.const 4)))))

  (func $number (param i64) (result i64)
    (i64.store (i32.const 1024) (local.get 0))
    (i64.const 4398046511112)) ;; 1024 << 32 | 8

  (func (export "cloche_inbox") (param $n i32) (result i32)
    (if (result i32) (i32.gt_u (local.get $n) (i32.const 65536))
      (then (i32.const 0))
      (else (i32.const 65536))))

  (func $call_many (result i64)
    (local $left i32) (local $sum i64)
    (local.set $left (call $arg (i32.const 0)))
    (loop $again
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_u
        (call $call (i32.const 65536) (i32.const 16) (i32.const 2048) (i32.const 64)))))
      (br_if $again (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (local.get $sum))

  (func $nothing)

  (func (export "cloche_step") (param $n i32) (result i64)
    (local $deed i32)
    (local.set $deed (i32.load8_u (i32.const 65536)))
    (if (i32.eq (local.get $deed) (i32.const 0)) (then
      (return (i64.or (i64.const 281474976710656) (i64.extend_i32_u (local.get $n))))))
    (if (i32.eq (local.get $deed) (i32.const 1)) (then
      (return (call $number (i64.extend_i32_s
        (call $call (call $arg (i32.const 0)) (call $arg (i32.const 1))
          (call $arg (i32.const 2)) (call $arg (i32.const 3))))))))
    (if (i32.eq (local.get $deed) (i32.const 2)) (then
      (call $take (call $arg (i32.const 0)))
      (return (call $number (i64.const 0)))))
    (if (i32.eq (local.get $deed) (i32.const 3)) (then
      (call $write (call $arg (i32.const 0)) (call $arg (i32.const 1)) (call $arg (i32.const 2)))
      (return (call $number (i64.const 0)))))
    (if (i32.eq (local.get $deed) (i32.const 4)) (then
      (return (call $number (call $clock (call $arg (i32.const 0)))))))
    (if (i32.eq (local.get $deed) (i32.const 5)) (then
      (call $entropy (call $arg (i32.const 0)) (call $arg (i32.const 1)))
      (return (call $number (i64.load (call $arg (i32.const 0)))))))
    (if (i32.eq (local.get $deed) (i32.const 6)) (then (loop $ever (call $nothing) (br $ever))))
    (if (i32.eq (local.get $deed) (i32.const 22)) (then (loop $ever (br $ever))))
    (if (i32.eq (local.get $deed) (i32.const 7)) (then (drop (call $recurse (i32.const 0)))))
    (if (i32.eq (local.get $deed) (i32.const 8)) (then (unreachable)))
    (if (i32.eq (local.get $deed) (i32.const 9)) (then (drop (i32.load (i32.const -4)))))
    (if (i32.eq (local.get $deed) (i32.const 10)) (then
      (drop (i32.div_s (i32.const 1) (call $arg (i32.const 0))))))
    (if (i32.eq (local.get $deed) (i32.const 11)) (then (call_indirect (type $none) (i32.const 0))))
    (if (i32.eq (local.get $deed) (i32.const 12)) (then (call_indirect (type $none) (i32.const 1))))
    (if (i32.eq (local.get $deed) (i32.const 13)) (then (call_indirect (type $none) (i32.const 100))))
    (if (i32.eq (local.get $deed) (i32.const 14)) (then
      (return (call $number (i64.extend_i32_s (memory.grow (call $arg (i32.const 0))))))))
    (if (i32.eq (local.get $deed) (i32.const 15)) (then
      (return (i64.or (i64.shl (i64.extend_i32_u (call $arg (i32.const 0))) (i64.const 32))
        (i64.extend_i32_u (call $arg (i32.const 1)))))))
    (if (i32.eq (local.get $deed) (i32.const 16)) (then (return (call $number (call $call_many)))))
    (if (i32.eq (local.get $deed) (i32.const 17)) (then
      (drop (i32.trunc_f32_s (f32.div (f32.const 0) (f32.const 0))))))
    (if (i32.eq (local.get $deed) (i32.const 18)) (then
      (drop (i32.div_s (i32.const -2147483648) (call $arg (i32.const 0))))))
    (if (i32.eq (local.get $deed) (i32.const 19)) (then
      (memory.fill (call $arg (i32.const 0)) (call $arg (i32.const 1)) (call $arg (i32.const 2)))))
    (if (i32.eq (local.get $deed) (i32.const 20)) (then
      (drop (call $call (call $arg (i32.const 0)) (call $arg (i32.const 1))
        (call $arg (i32.const 2)) (call $arg (i32.const 3))))
      (call $take (call $arg (i32.const 4)))))
    (if (i32.eq (local.get $deed) (i32.const 21)) (then
      (return (call $number (i64.extend_i32_s (table.grow (ref.null func) (call $arg (i32.const 0))))))))
    (call $number (i64.const 0))))
