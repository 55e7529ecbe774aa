#!/bin/sh
echo "script" >>/root/steps
